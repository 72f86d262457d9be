"""What staff want for themselves, and the histories of what they may do and of the schedule."""

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
from .preferences import StaffPreferences

__all__ = [
    "CrontabChange",
    "GroupChange",
    "GroupRightChange",
    "IntervalChange",
    "JobChange",
    "MembershipChange",
    "StaffChange",
    "StaffPreferences",
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
