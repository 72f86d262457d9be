"""From names in a request to accounts, plans and subscriptions that the caller may see; the rest is 404."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from billing.models import BillingAccount, Plan, Subscription
from metering.api.parsing import text_of
from metering.api.visibility import principal_of_request, visible_project
from metering.errors import Invalid, NotFound
from metering.models import Project
from metering.principal import Principal

MAX_ID = 2**63 - 1


def visible_accounts(principal: Principal) -> QuerySet[BillingAccount]:
    accounts = BillingAccount.objects.select_related("project")
    if principal.project_path is not None:
        accounts = accounts.filter(project__path__startswith=principal.project_path)
    return accounts


def visible_account(principal: Principal, account_id: int) -> BillingAccount:
    account = visible_accounts(principal).filter(pk=account_id).first() if account_id <= MAX_ID else None
    if account is None:
        raise NotFound(f"There is no billing account {account_id}.")
    return account


def account_of_project(principal: Principal, key: str) -> BillingAccount:
    project = visible_project(principal, key)
    account = visible_accounts(principal).filter(project=project).first()
    if account is None:
        raise NotFound(f"The project '{project.key}' has no billing account.")
    return account


def named_account(members: Mapping[str, Any], principal: Principal) -> BillingAccount:
    """The account named by id, or that of the project named. Raises `NotFound`, `Invalid`."""
    account_id = members.get("account")
    if account_id is None:
        return account_of_project(principal, named_or_own_project(dict(members), principal).key)
    if isinstance(account_id, bool) or not isinstance(account_id, int):
        raise Invalid("Must be the id of a billing account.", field="account")
    account = visible_account(principal, account_id)
    key = text_of(members, "project")
    if key is not None and account.project.key != key:
        raise Invalid("The account is of another project.", field="project")
    return account


def billable_account(members: Mapping[str, Any], principal: Principal) -> BillingAccount:
    """The account that is named, where the caller may write its bills. Raises also `PermissionDenied`."""
    account = named_account(members, principal)
    ensure_bills(principal, account)
    return account


def ensure_bills(principal: Principal, account: BillingAccount) -> None:
    """Whoever is billed doesn't write the bills: keys of the account's own project may read, those of a
    project above it may change. At the root of a tree there is nobody above. Raises `PermissionDenied`."""
    if is_billed(principal, account.project):
        raise PermissionDenied("This takes a key of a project above the one that is billed.")


def is_billed(principal: Principal, project: Project) -> bool:
    """Whether the caller is the customer: a key of the very project, where there is one above it."""
    return principal.project_path == project.path and project.parent_id is not None


def visible_subscriptions(principal: Principal) -> QuerySet[Subscription]:
    subscriptions = Subscription.objects.select_related("account__project", "plan").prefetch_related(
        "cycles", "replacements"
    )
    if principal.project_path is not None:
        subscriptions = subscriptions.filter(account__project__path__startswith=principal.project_path)
    return subscriptions


def visible_subscription(request: Request, subscription_id: int) -> Subscription:
    principal = principal_of_request(request)
    found = None
    if subscription_id <= MAX_ID:
        found = visible_subscriptions(principal).filter(pk=subscription_id).first()
    if found is None:
        raise NotFound(f"There is no subscription {subscription_id}.")
    return found


def changeable_subscription(request: Request, subscription_id: int) -> Subscription:
    """The same, where the caller may write the bills of its account. Raises also `PermissionDenied`."""
    subscription = visible_subscription(request, subscription_id)
    ensure_bills(principal_of_request(request), subscription.account)
    return subscription


def visible_plans(principal: Principal) -> QuerySet[Plan]:
    """Global ones, those of the caller's projects and of their ancestors."""
    return (
        Plan.objects.seen_from(principal.project_path, below=True)
        .select_related("project")
        .prefetch_related("prices__metric")
    )


def plan_named(plans: QuerySet[Plan], key: str, *, version: int | None, draft_first: bool = False) -> Plan:
    """One version of the plan: the one asked for, else the latest published one, else the latest.

    With `draft_first` a draft comes before all. Raises `NotFound`, and `Invalid` where several projects have
    each a plan of this key.
    """
    found = [] if "\x00" in key else list(plans.filter(key=key).order_by("-version"))
    if len({plan.project_id for plan in found}) > 1:
        raise Invalid(
            f"Several projects have a plan '{key}' of their own; name the project.", field="project"
        )
    if version is not None:
        found = [plan for plan in found if plan.version == version]
    if not found:
        which = "" if version is None else f" of version {version}"
        raise NotFound(f"There is no plan '{key[:100]}'{which}.")
    if draft_first and found[0].is_draft:
        return found[0]
    return next((plan for plan in found if plan.is_published), found[0])


def named_or_own_project(members: dict[str, Any], principal: Principal) -> Project:
    """The project named, or the API key's where it has none below it."""
    key = members.get("project")
    if key is not None:
        if not isinstance(key, str):
            raise Invalid("Must be a text.", field="project")
        return visible_project(principal, key)
    if principal.project_id is not None:
        project = Project.objects.get(pk=principal.project_id)
        if not project.children.exists():
            return project
    raise Invalid("Name the project that pays.", field="project", code="missing_field")
