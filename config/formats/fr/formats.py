"""1 234,50 EUR and 12,5 %, in spaces that don't break; days and times as in English.

31/01/2026 is read, too.
"""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i:s"
SHORT_DATE_FORMAT = "Y-m-d"
SHORT_DATETIME_FORMAT = "Y-m-d H:i:s"
TIME_FORMAT = "H:i:s"
DATE_INPUT_FORMATS = ["%Y-%m-%d", "%d/%m/%Y"]  # the first is shown, the last is usual
THOUSAND_SEPARATOR = "\N{NARROW NO-BREAK SPACE}"
DECIMAL_SEPARATOR = ","
NUMBER_GROUPING = 3
# Ours, for metering.numerals: what stands between a number and its unit, and behind a percentage.
UNIT_SPACE = "\N{NO-BREAK SPACE}"
PERCENT_SIGN = "\N{NARROW NO-BREAK SPACE}%"
