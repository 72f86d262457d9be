"""What staff may do, and what beat starts: histories of tables that others made."""

from .history import (
    CrontabChange,
    GroupChange,
    GroupRightChange,
    IntervalChange,
    JobChange,
    MembershipChange,
    StaffChange,
    StaffRightChange,
    TrackedCrontab,
    TrackedGroup,
    TrackedGroupRight,
    TrackedInterval,
    TrackedJob,
    TrackedMembership,
    TrackedStaffRight,
    TrackedUser,
)

__all__ = [
    "CrontabChange",
    "GroupChange",
    "GroupRightChange",
    "IntervalChange",
    "JobChange",
    "MembershipChange",
    "StaffChange",
    "StaffRightChange",
    "TrackedCrontab",
    "TrackedGroup",
    "TrackedGroupRight",
    "TrackedInterval",
    "TrackedJob",
    "TrackedMembership",
    "TrackedStaffRight",
    "TrackedUser",
]
