"""Why MLflow does not answer: what the layers above the first cause add is long and helps nobody."""

from study.secrets import without_secrets

LONGEST_REASON = 300


def first_cause(error: BaseException) -> BaseException:
    """What the system said, which MLflow and its HTTP library wrap in an exception each."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def reason(error: BaseException) -> str:
    """The first cause in one line, without secrets."""
    cause = first_cause(error)
    first_line = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    return without_secrets(first_line)[:LONGEST_REASON]
