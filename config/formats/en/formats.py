"""ISO dates with seconds, thousands separators: what people compare against logs and invoices."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i:s"
SHORT_DATE_FORMAT = "Y-m-d"
SHORT_DATETIME_FORMAT = "Y-m-d H:i:s"
TIME_FORMAT = "H:i:s"
DATE_INPUT_FORMATS = ["%Y-%m-%d"]
THOUSAND_SEPARATOR = ","
DECIMAL_SEPARATOR = "."
NUMBER_GROUPING = 3
# Ours, for metering.numerals: what stands between a number and its unit, and behind a percentage.
UNIT_SPACE = " "
PERCENT_SIGN = "%"
