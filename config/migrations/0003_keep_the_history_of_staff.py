"""Who gave whom which right, and who changed the schedule: by triggers of tables that others made."""

from pathlib import Path

import django.contrib.auth.models
import django.contrib.auth.validators
import django.core.validators
import django.db.models.deletion
import django.db.models.fields.json
import django_celery_beat.models
import django_celery_beat.validators
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
import timezone_field.fields
from django.conf import settings
from django.db import migrations, models

import metering.models.change

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0002_keep_staff_preferences"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("metering", "0015_keep_the_history_of_definitions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CrontabChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "minute",
                    models.CharField(
                        default="*",
                        help_text='Cron Minutes to Run. Use "*" for "all". (Example: "0,30")',
                        max_length=240,
                        validators=[django_celery_beat.validators.minute_validator],
                        verbose_name="Minute(s)",
                    ),
                ),
                (
                    "hour",
                    models.CharField(
                        default="*",
                        help_text='Cron Hours to Run. Use "*" for "all". (Example: "8,20")',
                        max_length=96,
                        validators=[django_celery_beat.validators.hour_validator],
                        verbose_name="Hour(s)",
                    ),
                ),
                (
                    "day_of_week",
                    models.CharField(
                        default="*",
                        help_text='Cron Days Of The Week to Run. Use "*" for "all", Sunday is 0 or 7, Monday is 1. (Example: "0,5")',
                        max_length=64,
                        validators=[django_celery_beat.validators.day_of_week_validator],
                        verbose_name="Day(s) Of The Week",
                    ),
                ),
                (
                    "day_of_month",
                    models.CharField(
                        default="*",
                        help_text='Cron Days Of The Month to Run. Use "*" for "all". (Example: "1,15")',
                        max_length=124,
                        validators=[django_celery_beat.validators.day_of_month_validator],
                        verbose_name="Day(s) Of The Month",
                    ),
                ),
                (
                    "month_of_year",
                    models.CharField(
                        default="*",
                        help_text='Cron Months (1-12) Of The Year to Run. Use "*" for "all". (Example: "1,12")',
                        max_length=64,
                        validators=[django_celery_beat.validators.month_of_year_validator],
                        verbose_name="Month(s) Of The Year",
                    ),
                ),
                (
                    "timezone",
                    timezone_field.fields.TimeZoneField(
                        default=django_celery_beat.models.crontab_schedule_celery_timezone,
                        help_text="Timezone to Run the Cron Schedule on. Default is UTC.",
                        use_pytz=False,
                        verbose_name="Cron Timezone",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of calendar times",
                "verbose_name_plural": "changes of calendar times",
                "db_table_comment": "What calendar times became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="GroupChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("name", models.CharField(max_length=150, verbose_name="name")),
            ],
            options={
                "verbose_name": "change of a group",
                "verbose_name_plural": "changes of groups",
                "db_table_comment": "What a group became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="IntervalChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "every",
                    models.IntegerField(
                        help_text="Number of interval periods to wait before running the task again",
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="Number of Periods",
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[
                            ("days", "Days"),
                            ("hours", "Hours"),
                            ("minutes", "Minutes"),
                            ("seconds", "Seconds"),
                            ("microseconds", "Microseconds"),
                        ],
                        help_text="The type of period between task runs (Example: days)",
                        max_length=24,
                        verbose_name="Interval Period",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of an interval",
                "verbose_name_plural": "changes of intervals",
                "db_table_comment": "What an interval became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="StaffChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="email address")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a user",
                "verbose_name_plural": "changes of users",
                "db_table_comment": "What a staff account became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TrackedStaffRight",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("auth.user_user_permissions",),
        ),
        migrations.CreateModel(
            name="TrackedUser",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("auth.user",),
            managers=[
                ("objects", django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name="TrackedMembership",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("auth.user_groups",),
        ),
        migrations.CreateModel(
            name="TrackedJob",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("django_celery_beat.periodictask",),
        ),
        migrations.CreateModel(
            name="TrackedInterval",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("django_celery_beat.intervalschedule",),
        ),
        migrations.CreateModel(
            name="TrackedGroupRight",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("auth.group_permissions",),
        ),
        migrations.CreateModel(
            name="TrackedGroup",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("auth.group",),
            managers=[
                ("objects", django.contrib.auth.models.GroupManager()),
            ],
        ),
        migrations.CreateModel(
            name="TrackedCrontab",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("django_celery_beat.crontabschedule",),
        ),
        migrations.CreateModel(
            name="GroupRightChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "group",
                    models.ForeignKey(
                        db_constraint=False,
                        db_tablespace="",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="auth.group",
                    ),
                ),
                (
                    "permission",
                    models.ForeignKey(
                        db_constraint=False,
                        db_tablespace="",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="auth.permission",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a group's right",
                "verbose_name_plural": "changes of groups' rights",
                "db_table_comment": "That a group was given a right, or lost it. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="JobChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "name",
                    models.CharField(
                        help_text="Short Description For This Task", max_length=200, verbose_name="Name"
                    ),
                ),
                (
                    "task",
                    models.CharField(
                        help_text='The Name of the Celery Task that Should be Run.  (Example: "proj.tasks.import_contacts")',
                        max_length=200,
                        verbose_name="Task Name",
                    ),
                ),
                (
                    "args",
                    models.TextField(
                        blank=True,
                        default="[]",
                        help_text='JSON encoded positional arguments (Example: ["arg1", "arg2"])',
                        verbose_name="Positional Arguments",
                    ),
                ),
                (
                    "kwargs",
                    models.TextField(
                        blank=True,
                        default="{}",
                        help_text='JSON encoded keyword arguments (Example: {"argument": "value"})',
                        verbose_name="Keyword Arguments",
                    ),
                ),
                (
                    "queue",
                    models.CharField(
                        blank=True,
                        default=None,
                        help_text="Queue defined in CELERY_TASK_QUEUES. Leave None for default queuing.",
                        max_length=200,
                        null=True,
                        verbose_name="Queue Override",
                    ),
                ),
                (
                    "enabled",
                    models.BooleanField(
                        default=True, help_text="Set to False to disable the schedule", verbose_name="Enabled"
                    ),
                ),
                (
                    "one_off",
                    models.BooleanField(
                        default=False,
                        help_text="If True, the schedule will only run the task a single time",
                        verbose_name="One-off Task",
                    ),
                ),
                (
                    "start_time",
                    models.DateTimeField(
                        blank=True,
                        help_text="Datetime when the schedule should begin triggering the task to run",
                        null=True,
                        verbose_name="Start Datetime",
                    ),
                ),
                (
                    "expires",
                    models.DateTimeField(
                        blank=True,
                        help_text="Datetime after which the schedule will no longer trigger the task to run",
                        null=True,
                        verbose_name="Expires Datetime",
                    ),
                ),
                (
                    "expire_seconds",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Timedelta with seconds which the schedule will no longer trigger the task to run",
                        null=True,
                        verbose_name="Expires timedelta with seconds",
                    ),
                ),
                (
                    "description",
                    models.TextField(
                        blank=True,
                        help_text="Detailed description about the details of this Periodic Task",
                        verbose_name="Description",
                    ),
                ),
                (
                    "clocked",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        help_text="Clocked Schedule to run the task on.  Set only one schedule type, leave the others null.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="django_celery_beat.clockedschedule",
                        verbose_name="Clocked Schedule",
                    ),
                ),
                (
                    "crontab",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        help_text="Crontab Schedule to run the task on.  Set only one schedule type, leave the others null.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="django_celery_beat.crontabschedule",
                        verbose_name="Crontab Schedule",
                    ),
                ),
                (
                    "interval",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        help_text="Interval Schedule to run the task on.  Set only one schedule type, leave the others null.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="django_celery_beat.intervalschedule",
                        verbose_name="Interval Schedule",
                    ),
                ),
                (
                    "solar",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        help_text="Solar Schedule to run the task on.  Set only one schedule type, leave the others null.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="django_celery_beat.solarschedule",
                        verbose_name="Solar Schedule",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a job",
                "verbose_name_plural": "changes of jobs",
                "db_table_comment": "What a job of the schedule became by one change. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="MembershipChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "group",
                    models.ForeignKey(
                        db_constraint=False,
                        db_tablespace="",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="auth.group",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_tablespace="",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a membership",
                "verbose_name_plural": "changes of memberships",
                "db_table_comment": "That somebody joined or left a group. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="StaffRightChange",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "database_role",
                    models.TextField(
                        db_default=metering.models.change.SessionUser(),
                        editable=False,
                        verbose_name="database role",
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "permission",
                    models.ForeignKey(
                        db_constraint=False,
                        db_tablespace="",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="auth.permission",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_tablespace="",
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "pgh_obj",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="config.trackedstaffright",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a user's right",
                "verbose_name_plural": "changes of users' rights",
                "db_table_comment": "That somebody was given a right, or lost it. Written by trigger, append-only.",
                "default_permissions": (),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedstaffright",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_staffrightchange" ("permission_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."user_id"); RETURN NULL;',
                    hash="37f06272b069db899324753628cd09511b49d107",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_1619a",
                    table="auth_user_user_permissions",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedstaffright",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."permission_id" IS DISTINCT FROM (NEW."permission_id") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                    func='INSERT INTO "config_staffrightchange" ("permission_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."user_id"); RETURN NULL;',
                    hash="eec437c6574599d355dcbd304525ef9d10848f7d",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_4faa9",
                    table="auth_user_user_permissions",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedstaffright",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_staffrightchange" ("permission_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (OLD."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."user_id"); RETURN NULL;',
                    hash="45a0424b66ab8b15b7d0b93f1adc188d3dac56b8",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_5a377",
                    table="auth_user_user_permissions",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="staffchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="config.trackeduser",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackeduser",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_staffchange" ("email", "first_name", "is_active", "is_staff", "is_superuser", "last_name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "username") VALUES (NEW."email", NEW."first_name", NEW."is_active", NEW."is_staff", NEW."is_superuser", NEW."last_name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."username"); RETURN NULL;',
                    hash="0d9af9798546992c1b20901e75989ee858320002",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_a7bf0",
                    table="auth_user",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackeduser",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."email" IS DISTINCT FROM (NEW."email") OR OLD."first_name" IS DISTINCT FROM (NEW."first_name") OR OLD."is_active" IS DISTINCT FROM (NEW."is_active") OR OLD."is_staff" IS DISTINCT FROM (NEW."is_staff") OR OLD."is_superuser" IS DISTINCT FROM (NEW."is_superuser") OR OLD."last_name" IS DISTINCT FROM (NEW."last_name") OR OLD."username" IS DISTINCT FROM (NEW."username"))',
                    func='INSERT INTO "config_staffchange" ("email", "first_name", "is_active", "is_staff", "is_superuser", "last_name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "username") VALUES (NEW."email", NEW."first_name", NEW."is_active", NEW."is_staff", NEW."is_superuser", NEW."last_name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."username"); RETURN NULL;',
                    hash="4fd113774645302d061b2b82dd79c40541af59ba",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_96109",
                    table="auth_user",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackeduser",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_staffchange" ("email", "first_name", "is_active", "is_staff", "is_superuser", "last_name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "username") VALUES (OLD."email", OLD."first_name", OLD."is_active", OLD."is_staff", OLD."is_superuser", OLD."last_name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."username"); RETURN NULL;',
                    hash="8ff8f5f5b54fcac920c2b0aeeb74072160fabedb",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_5284d",
                    table="auth_user",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackeduser",
            trigger=pgtrigger.compiler.Trigger(
                name="password_changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."password" IS DISTINCT FROM (NEW."password"))',
                    func='INSERT INTO "config_staffchange" ("email", "first_name", "is_active", "is_staff", "is_superuser", "last_name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "username") VALUES (NEW."email", NEW."first_name", NEW."is_active", NEW."is_staff", NEW."is_superuser", NEW."last_name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'password changed\', NEW."id", NEW."username"); RETURN NULL;',
                    hash="e2d1850cbf5b6b22425aa53c837b9597cca64e8b",
                    operation="UPDATE",
                    pgid="pgtrigger_password_changed_update_3a43f",
                    table="auth_user",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="membershipchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="config.trackedmembership",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedmembership",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_membershipchange" ("group_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."group_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."user_id"); RETURN NULL;',
                    hash="1dfbc1683a05510126fcf4d4a055fa51bb9fcc87",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_f7f4e",
                    table="auth_user_groups",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedmembership",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."group_id" IS DISTINCT FROM (NEW."group_id") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                    func='INSERT INTO "config_membershipchange" ("group_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (NEW."group_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."user_id"); RETURN NULL;',
                    hash="ed2c42c47d7e70ff1221a1588cf7c6f606b6d4dc",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_127ad",
                    table="auth_user_groups",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedmembership",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_membershipchange" ("group_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "user_id") VALUES (OLD."group_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."user_id"); RETURN NULL;',
                    hash="3203c4b4969d3f52cf867737c1c0c3d9cf956eac",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_ef9dd",
                    table="auth_user_groups",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="jobchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="config.trackedjob",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedjob",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_jobchange" ("args", "clocked_id", "crontab_id", "description", "enabled", "expire_seconds", "expires", "interval_id", "kwargs", "name", "one_off", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "queue", "solar_id", "start_time", "task") VALUES (NEW."args", NEW."clocked_id", NEW."crontab_id", NEW."description", NEW."enabled", NEW."expire_seconds", NEW."expires", NEW."interval_id", NEW."kwargs", NEW."name", NEW."one_off", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."queue", NEW."solar_id", NEW."start_time", NEW."task"); RETURN NULL;',
                    hash="2d94d378964d67106e3014cc08ae4c5d5a8e0288",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_4fb14",
                    table="django_celery_beat_periodictask",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedjob",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."args" IS DISTINCT FROM (NEW."args") OR OLD."clocked_id" IS DISTINCT FROM (NEW."clocked_id") OR OLD."crontab_id" IS DISTINCT FROM (NEW."crontab_id") OR OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."enabled" IS DISTINCT FROM (NEW."enabled") OR OLD."expire_seconds" IS DISTINCT FROM (NEW."expire_seconds") OR OLD."expires" IS DISTINCT FROM (NEW."expires") OR OLD."interval_id" IS DISTINCT FROM (NEW."interval_id") OR OLD."kwargs" IS DISTINCT FROM (NEW."kwargs") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."one_off" IS DISTINCT FROM (NEW."one_off") OR OLD."queue" IS DISTINCT FROM (NEW."queue") OR OLD."solar_id" IS DISTINCT FROM (NEW."solar_id") OR OLD."start_time" IS DISTINCT FROM (NEW."start_time") OR OLD."task" IS DISTINCT FROM (NEW."task"))',
                    func='INSERT INTO "config_jobchange" ("args", "clocked_id", "crontab_id", "description", "enabled", "expire_seconds", "expires", "interval_id", "kwargs", "name", "one_off", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "queue", "solar_id", "start_time", "task") VALUES (NEW."args", NEW."clocked_id", NEW."crontab_id", NEW."description", NEW."enabled", NEW."expire_seconds", NEW."expires", NEW."interval_id", NEW."kwargs", NEW."name", NEW."one_off", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."queue", NEW."solar_id", NEW."start_time", NEW."task"); RETURN NULL;',
                    hash="bad5f8fed4f0680b8e1477b37ae2eab7e900ce20",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_c673e",
                    table="django_celery_beat_periodictask",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedjob",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_jobchange" ("args", "clocked_id", "crontab_id", "description", "enabled", "expire_seconds", "expires", "interval_id", "kwargs", "name", "one_off", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "queue", "solar_id", "start_time", "task") VALUES (OLD."args", OLD."clocked_id", OLD."crontab_id", OLD."description", OLD."enabled", OLD."expire_seconds", OLD."expires", OLD."interval_id", OLD."kwargs", OLD."name", OLD."one_off", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."queue", OLD."solar_id", OLD."start_time", OLD."task"); RETURN NULL;',
                    hash="90705fd4c665cc6b657382e952659a1d2c920736",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_75fa7",
                    table="django_celery_beat_periodictask",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="intervalchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="config.trackedinterval",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedinterval",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_intervalchange" ("every", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."every", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id"); RETURN NULL;',
                    hash="10fda19f797c8fa7d4b0206ef8828736d51117b5",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_ee82e",
                    table="django_celery_beat_intervalschedule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedinterval",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."every" IS DISTINCT FROM (NEW."every") OR OLD."period" IS DISTINCT FROM (NEW."period"))',
                    func='INSERT INTO "config_intervalchange" ("every", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."every", NEW."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id"); RETURN NULL;',
                    hash="d10099baa715ff3fcc6a4715ca24bc6a78c5d8a8",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_2367a",
                    table="django_celery_beat_intervalschedule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedinterval",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_intervalchange" ("every", "period", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."every", OLD."period", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id"); RETURN NULL;',
                    hash="f84eba06cb8ea2171bcd5dd59aea3f14f1c77ec2",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_cf716",
                    table="django_celery_beat_intervalschedule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="grouprightchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="config.trackedgroupright",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedgroupright",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_grouprightchange" ("group_id", "permission_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."group_id", NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id"); RETURN NULL;',
                    hash="2b99ca3cd63466803f4a72234b4e196c3ecfb186",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_464de",
                    table="auth_group_permissions",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedgroupright",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."group_id" IS DISTINCT FROM (NEW."group_id") OR OLD."permission_id" IS DISTINCT FROM (NEW."permission_id"))',
                    func='INSERT INTO "config_grouprightchange" ("group_id", "permission_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."group_id", NEW."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id"); RETURN NULL;',
                    hash="ed9cfcc79e723132c65cbd1acfc24924ae0cb5b6",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_08535",
                    table="auth_group_permissions",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedgroupright",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_grouprightchange" ("group_id", "permission_id", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."group_id", OLD."permission_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id"); RETURN NULL;',
                    hash="6d9b15a842e2c526718bdbaf47ce46a23cefff9c",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_4f468",
                    table="auth_group_permissions",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="groupchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="config.trackedgroup",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedgroup",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_groupchange" ("name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id"); RETURN NULL;',
                    hash="fe369460cf779468138470e161c5336a13238345",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_4597b",
                    table="auth_group",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedgroup",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."name" IS DISTINCT FROM (NEW."name"))',
                    func='INSERT INTO "config_groupchange" ("name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id"); RETURN NULL;',
                    hash="9b2ea766aab73624d414073544c08e834c679eb1",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_757b2",
                    table="auth_group",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedgroup",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_groupchange" ("name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id"); RETURN NULL;',
                    hash="555fa95506321c3b0bc63cf5f3a91c40a9fdbc40",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_1b78c",
                    table="auth_group",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="crontabchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="config.trackedcrontab",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedcrontab",
            trigger=pgtrigger.compiler.Trigger(
                name="set_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_crontabchange" ("day_of_month", "day_of_week", "hour", "minute", "month_of_year", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (NEW."day_of_month", NEW."day_of_week", NEW."hour", NEW."minute", NEW."month_of_year", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'set\', NEW."id", NEW."timezone"); RETURN NULL;',
                    hash="fa07ec325054b43c2351a1637f25ca2d13bc4938",
                    operation="INSERT",
                    pgid="pgtrigger_set_insert_701a5",
                    table="django_celery_beat_crontabschedule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedcrontab",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."day_of_month" IS DISTINCT FROM (NEW."day_of_month") OR OLD."day_of_week" IS DISTINCT FROM (NEW."day_of_week") OR OLD."hour" IS DISTINCT FROM (NEW."hour") OR OLD."minute" IS DISTINCT FROM (NEW."minute") OR OLD."month_of_year" IS DISTINCT FROM (NEW."month_of_year") OR OLD."timezone" IS DISTINCT FROM (NEW."timezone"))',
                    func='INSERT INTO "config_crontabchange" ("day_of_month", "day_of_week", "hour", "minute", "month_of_year", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (NEW."day_of_month", NEW."day_of_week", NEW."hour", NEW."minute", NEW."month_of_year", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', NEW."id", NEW."timezone"); RETURN NULL;',
                    hash="6c2c999a52e1c0877e7687a21f1fe1735be45ccd",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_aea37",
                    table="django_celery_beat_crontabschedule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="trackedcrontab",
            trigger=pgtrigger.compiler.Trigger(
                name="removed_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "config_crontabchange" ("day_of_month", "day_of_week", "hour", "minute", "month_of_year", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "timezone") VALUES (OLD."day_of_month", OLD."day_of_week", OLD."hour", OLD."minute", OLD."month_of_year", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'removed\', OLD."id", OLD."timezone"); RETURN NULL;',
                    hash="1398ec6f6ae2a20d3303677e281fad07696f1f53",
                    operation="DELETE",
                    pgid="pgtrigger_removed_delete_8aa66",
                    table="django_celery_beat_crontabschedule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="staffrightchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="staffrightchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="staffrightchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="staffrightchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="staffrightchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="staffrightchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="staffchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="staffchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="staffchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="staffchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="staffchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="staffchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="membershipchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="membershipchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="membershipchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="membershipchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="membershipchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="membershipchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="jobchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="jobchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="jobchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="jobchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="jobchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="jobchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="intervalchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="intervalchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="intervalchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="intervalchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="intervalchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="intervalchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="grouprightchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="grouprightchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="grouprightchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="grouprightchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="grouprightchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="grouprightchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="groupchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="groupchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="groupchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="groupchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="groupchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="groupchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="crontabchange",
            index=models.Index(fields=["pgh_created_at", "pgh_id"], name="crontabchange_by_time"),
        ),
        migrations.AddIndex(
            model_name="crontabchange",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform("actor", "pgh_context"),
                models.F("pgh_created_at"),
                models.F("pgh_id"),
                name="crontabchange_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="crontabchange",
            index=models.Index(fields=["pgh_obj", "pgh_id"], name="crontabchange_by_row"),
        ),
        migrations.AddIndex(
            model_name="crontabchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="crontabchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="groupchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="groupchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="grouprightchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="grouprightchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="intervalchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="intervalchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="jobchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="jobchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="membershipchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="membershipchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="staffchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="staffchange_gone"
            ),
        ),
        migrations.AddIndex(
            model_name="staffrightchange",
            index=models.Index(
                condition=models.Q(("pgh_label", "removed")), fields=["pgh_obj"], name="staffrightchange_gone"
            ),
        ),
        migrations.RunSQL(
            sql=(HERE / "0003_keep_the_history_of_staff.sql").read_text(),
            reverse_sql=(HERE / "0003_keep_the_history_of_staff_reverse.sql").read_text(),
        ),
    ]
