"""`manage.py translations`: the words of the interface in other languages, kept whole and compiled."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.message_catalogues import compiled, complaints, gathered, languages, update

SHOWN = 40


class Command(BaseCommand):
    """Edge: prints what `config.message_catalogues` does or finds."""

    help = (
        "Keep the translations of the interface. `compile` makes what Django reads (after each update of "
        "the code); `update` brings the catalogues to the messages of the sources, for translators; "
        "`check` fails where one is missing, superfluous or lost a placeholder."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["compile", "update", "check"])
        parser.add_argument("--language", action="append", help="only this one, such as de; may be repeated")

    def handle(self, *args: Any, what: str, language: list[str] | None, **options: Any) -> None:
        chosen = language or languages()
        if what == "compile":
            for each in chosen:
                self.stdout.write(f"{each}: {compiled(each).name}")
        elif what == "update":
            template = gathered()
            for each in chosen:
                path = update(each, template)
                missing = sum(one.fault == "is not translated" for one in complaints(each, template))
                self.stdout.write(f"{each}: {path.name}, {missing:,} of {len(template):,} not translated")
        else:
            self._check(chosen)

    def _check(self, chosen: list[str]) -> None:
        template = gathered()
        found = [one for each in chosen for one in complaints(each, template)]
        for one in found[:SHOWN]:
            self.stdout.write(f"{one.language}: {one.message!r} {one.fault}")
        if found:
            raise CommandError(f"{len(found):,} faults in the translations.")
        self.stdout.write(f"{len(template):,} messages in {', '.join(chosen)}.")
