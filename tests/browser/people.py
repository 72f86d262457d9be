"""The people of the journeys, by the groups that they belong to."""

from django.contrib.auth.models import Group, Permission, User

PASSWORD = "correct horse battery staple"
_USAGE = ("metering", "quotas")
_DECIDES = ("issue_invoice", "approve_invoice", "void_invoice")


def person(*groups: str, name: str = "") -> User:
    """Somebody of these groups; a superuser without one. Signs in with `PASSWORD`."""
    name = name or "-".join(groups).lower() or "root"
    if not groups:
        return User.objects.create_superuser(name, password=PASSWORD)
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    user.groups.set([_group(each) for each in groups])
    return user


def _group(name: str) -> Group:
    """The group that a migration made; as long as none does, one that is good enough for the journeys."""
    group, is_new = Group.objects.get_or_create(name=name)
    if is_new:
        everything = Permission.objects.filter(content_type__app_label__in=(*_USAGE, "billing"))
        reads = everything.filter(codename__startswith="view_")
        group.permissions.set(
            {
                "Operator": reads | everything.filter(content_type__app_label__in=_USAGE),
                "Finance": reads
                | everything.filter(content_type__app_label="billing").exclude(codename="approve_invoice")
                | everything.filter(codename="export_data"),
                "Approver": reads | everything.filter(codename__in=_DECIDES),
                "Auditor": reads | everything.filter(codename="export_data"),
            }[name]
        )
    return group
