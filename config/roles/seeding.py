"""The groups of the four roles, brought to exactly what this version of Meterbook says they may do."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from metering.roles import Role

from .areas import all_areas, rights_of

MIGRATION = ("config", "0001_groups_for_the_roles_of_staff")


def restore_roles(*, using: str, **_: Any) -> None:
    """After each migrate: a group for each role, with its rights, none more and none fewer.

    A role means the same in every house, after every upgrade. Whoever needs more than that gets a second
    group or rights of their own; whoever needs less gets a group that the house makes. Where the migration
    that made the groups isn't in place, there are none.
    """
    if MIGRATION not in MigrationRecorder(connections[using]).applied_migrations():
        return
    apps = {area.app for area in all_areas()}
    ids = {
        f"{app}.{codename}": pk
        for app, codename, pk in Permission.objects.using(using)
        .filter(content_type__app_label__in=apps)
        .values_list("content_type__app_label", "codename", "pk")
    }
    for role in Role:
        group, _created = Group.objects.using(using).get_or_create(name=role.value)
        group.permissions.set(ids[right] for right in rights_of(role) if right in ids)
