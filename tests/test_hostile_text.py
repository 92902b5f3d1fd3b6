"""Whatever stands in an id, a reason or an answer, it stays data: on the wire and on the screen."""

from __future__ import annotations

import io
import json
from urllib.parse import unquote

import pytest
from faulty_server import FaultyServer, answer
from harness import KEY
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cmdstat.cli import main
from cmdstat.errors import ExitCode, UsageError
from cmdstat.models import check_id, check_reason
from cmdstat.talk import Surroundings

NASTY = [
    *("\x1b]0;x\x07", "\x9b2J", "\u202e", "\u2066", "\r", "\n", "\x00", "\x7f", "\ud800"),
    *("[red]", "[/x]", ":smile:", "$(touch f)", "`", "'", '"', "\\", " "),
    *("%2F", "/", "..", ".", "?", "#", "é", "日本", "🙂"),
]
TEXT = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=5)), max_size=6).map("".join)
VALUE = st.recursive(
    st.one_of(
        TEXT,
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
STEERING = set(
    map(chr, [*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
)


@pytest.fixture(scope="module")
def served():
    with FaultyServer() as started:
        yield started


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def run(served, home, *arguments: str) -> tuple[int, str, str]:
    """Run cmdstat in this process; its exit code and what it wrote."""
    env = {
        "HOME": str(home),
        "CMDSTAT_JOURNAL": str(home / "journal.db"),
        "CMDSTAT_BASE_URL": served.base_url,
        "CMDSTAT_API_KEY": KEY,
    }
    out, err = io.StringIO(), io.StringIO()
    code = main(arguments, Surroundings(env, io.StringIO(), out, err))
    return code, out.getvalue(), err.getvalue()


def is_legal(check, text: str) -> bool:
    try:
        check(text)
    except UsageError:
        return False
    return True


def assert_harmless(*texts: str) -> None:
    for text in texts:
        assert not (set(text) & STEERING) - {"\n"}
        assert not any("\ud800" <= each <= "\udfff" for each in text)
        assert KEY not in text
        assert "Traceback" not in text


many = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@many
@given(command_id=TEXT, reason=TEXT, form=st.sampled_from(["table", "json", "csv"]))
@example(command_id="../../evil", reason="", form="table")
@example(command_id="a%2F..%2Fb", reason="\x1b[31m", form="csv")
def test_what_is_typed_reaches_the_service_unchanged_or_not_at_all(
    served, home, command_id, reason, form
):
    """An id is one path segment and a reason one JSON string, exactly; or nothing is sent."""
    served.requests.clear()
    arguments = (
        "set",
        "--reason",
        reason,
        "-o",
        form,
        "--retries",
        "0",
        "--",
        command_id,
        "success",
    )
    code, out, err = run(served, home, *arguments)
    assert_harmless(out, err)
    if command_id == "-":
        return
    if not (is_legal(check_id, command_id) and is_legal(check_reason, reason)):
        assert (code, served.requests) == (ExitCode.USAGE, [])
        return
    assert code == ExitCode.DONE, err
    (seen,) = served.requests
    path = seen.path.removeprefix("/api/commands/v0/status/").removesuffix("/")
    assert "/" not in path
    assert unquote(path) == command_id
    assert seen.json == {"state": "Command Success", "reason": reason}


@many
@given(
    content=st.dictionaries(
        st.sampled_from(["id", "state", "reason", "updated_at", "command_meta", "new", "\x1b[2J"]),
        VALUE,
        max_size=5,
    ),
    message=VALUE,
    form=st.sampled_from(["table", "json", "jsonl", "csv"]),
)
@example(
    content={"command_meta": {"result": {"\x9b": "\u202e"}}},
    message="\x1b]52;c;x\x07",
    form="table",
)
def test_what_a_server_says_is_shown_and_steers_nothing(served, home, content, message, form):
    """Any content and message is shown in every format, harmless, and in JSON without loss."""
    body = json.dumps({"code": 200, "message": message, "content": content})
    served.on("PUT", answer(200, body))
    code, out, err = run(served, home, "set", "an-id", "success", "-o", form, "--retries", "0")
    assert code == ExitCode.DONE, err
    assert_harmless(out, err)
    if form in ("json", "jsonl"):
        assert json.loads(out)["content"] == content


@many
@given(status=st.sampled_from([302, 400, 401, 404, 429]), body=st.one_of(TEXT, VALUE))
def test_what_a_refusal_says_steers_nothing(served, home, status, body):
    """Any body of a refusal ends in one harmless line of error and one of what to do."""
    sent = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else json.dumps(body)
    served.on("PUT", answer(status, sent))
    code, out, err = run(served, home, "set", "an-id", "success", "--retries", "0")
    assert code in (ExitCode.REFUSED, ExitCode.UNAUTHORIZED, ExitCode.SERVER_FAILED)
    assert_harmless(out, err)
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "hint"]
