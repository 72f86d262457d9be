"""The project's routes and an empty view of Django REST framework, to measure single events against."""

from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from config.urls import urlpatterns as project_urlpatterns


class EmptyView(APIView):
    authentication_classes = []
    permission_classes = []

    def post(self, request):
        return Response({})


urlpatterns = [path("empty/", EmptyView.as_view()), *project_urlpatterns]
