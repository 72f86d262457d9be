"""Groups for the roles of staff. Their rights follow in post_migrate, which has made the permissions."""

from typing import Any

from django.db import migrations

ROLES = ("Operator", "Finance", "Approver", "Auditor")


def add_groups(apps: Any, schema_editor: Any) -> None:
    """A group of the house that has a role's name keeps its people and rights, under another name."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for name in ROLES:
        for group in groups.filter(name=name):
            group.name = free_name(groups, f"{name} (own)")
            group.save(update_fields=["name"])
        groups.create(name=name)


def free_name(groups: Any, wanted: str) -> str:
    name, number = wanted, 2
    while groups.filter(name=name).exists():
        name, number = f"{wanted} {number}", number + 1
    return name


def remove_groups(apps: Any, schema_editor: Any) -> None:
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    groups.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(add_groups, remove_groups)]
