"""Groups of the roles: what a migrate leaves behind, and what it does to those that were there."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection

from config.roles.areas import all_areas, rights_in, rights_of, roles_with, words_for
from metering.roles import Role

pytestmark = pytest.mark.django_db

migration = import_module("config.migrations.0001_groups_for_the_roles_of_staff")


def rights_held_by(group: Group) -> set[str]:
    held = group.permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in held}


def migrate() -> None:
    call_command("migrate", verbosity=0)


@pytest.mark.parametrize("role", Role)
def test_migrate_leaves_each_role_with_exactly_its_rights(role: Role) -> None:
    group = Group.objects.get(name=role.value)

    assert rights_held_by(group) == rights_of(role)


def test_lost_roles_come_back_with_the_next_migrate() -> None:
    Group.objects.all().delete()

    migrate()

    assert set(Group.objects.values_list("name", flat=True)) == {"Operator", "Finance", "Approver", "Auditor"}
    assert rights_held_by(Group.objects.get(name="Finance")) == rights_of(Role.FINANCE)


def test_upgrade_brings_a_role_back_to_what_it_means() -> None:
    """Neither a right that somebody slipped in stays, nor one that they took away is missing."""
    auditor = Group.objects.get(name="Auditor")
    auditor.permissions.add(Permission.objects.get(codename="void_invoice"))
    auditor.permissions.remove(Permission.objects.get(codename="view_invoice"))

    migrate()

    assert rights_held_by(auditor) == rights_of(Role.AUDITOR)


def test_upgrade_leaves_groups_of_the_house_alone() -> None:
    own = Group.objects.create(name="Dunning")
    own.permissions.add(Permission.objects.get(codename="view_invoice"))

    migrate()

    assert rights_held_by(own) == {"billing.view_invoice"}


def test_group_that_had_a_role_s_name_keeps_its_rights_under_another() -> None:
    Group.objects.all().delete()
    finance = Group.objects.create(name="Finance")
    Group.objects.create(name="Finance (own)")
    finance.permissions.add(Permission.objects.get(codename="view_plan"))

    with connection.schema_editor() as editor:
        migration.add_groups(apps, editor)
    migrate()

    finance.refresh_from_db()
    assert (finance.name, rights_held_by(finance)) == ("Finance (own) 2", {"billing.view_plan"})
    assert rights_held_by(Group.objects.get(name="Finance")) == rights_of(Role.FINANCE)


def test_migration_backwards_takes_the_roles_away() -> None:
    Group.objects.create(name="Dunning")

    with connection.schema_editor() as editor:
        migration.remove_groups(apps, editor)

    assert list(Group.objects.values_list("name", flat=True)) == ["Dunning"]


def test_every_table_of_the_admin_belongs_to_an_area() -> None:
    """Else auditors don't see it, and nobody can be given rights there in plain words."""
    named = {(area.app, table) for area in all_areas() for table in area.tables}
    registered = {(model._meta.app_label, model._meta.model_name) for model in admin.site._registry}

    assert registered - named == set()


def test_every_right_of_an_area_exists() -> None:
    known = {
        f"{app}.{name}" for app, name in Permission.objects.values_list("content_type__app_label", "codename")
    }
    named = {right.name for area in all_areas() for right in rights_in(area)}

    assert named - known == set()


def test_auditor_sees_every_table_and_makes_nothing_but_exports() -> None:
    rights = rights_of(Role.AUDITOR)

    assert {right for right in rights if ".view_" not in right} == {"metering.export_data"}
    assert {f"{area.app}.view_{table}" for area in all_areas() for table in area.tables} <= rights


def test_nobody_approves_who_also_issues() -> None:
    deciding = {f"{area.app}.{right}" for area in all_areas() for right in area.decisions}

    assert deciding == {
        "billing.approve_invoice",
        "billing.decide_periodcorrection",
        "billing.loosen_approval",
    }
    assert [role for role in Role if rights_of(role) & deciding] == [Role.APPROVER]
    assert roles_with("billing.issue_invoice") == [Role.FINANCE]


def test_no_role_manages_staff() -> None:
    rights = {right for role in Role for right in rights_of(role) if right.startswith("auth.")}

    assert rights == {"auth.view_user", "auth.view_group"}


def test_rights_are_said_in_plain_words() -> None:
    assert words_for("billing.issue_invoice") == "Issue invoices and credit notes"
    assert words_for("metering.view_apikey") == "See API keys"
    assert words_for("quotas.change_alert") == "Acknowledge alerts"
    assert words_for("gone.view_away") == "gone.view_away"
