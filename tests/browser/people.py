"""The people of the journeys, by the groups that they belong to."""

from django.contrib.auth.models import Group, User

PASSWORD = "correct horse battery staple"


def person(*groups: str, name: str = "") -> User:
    """Somebody of these groups; a superuser without one. Signs in with `PASSWORD`."""
    name = name or "-".join(groups).lower() or "root"
    if not groups:
        return User.objects.create_superuser(name, password=PASSWORD)
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    user.groups.set([Group.objects.get(name=each) for each in groups])
    return user
