"""`cmdstat set --if-state`: read, compare, then send or skip; the record has what was read."""

from __future__ import annotations

import json

import pytest
from faulty_server import answer, applied, behave, busy, forever, meanwhile, show

IN_PROGRESS = "Command In Progress"


def test_sent_in_one_of_the_states(home, server, set_state):
    """In a wanted state the update is sent, and `before` is the content as it was read."""
    was = dict(server.status)
    result = set_state("--if-state", "ack", "--if-state", "in progress")
    assert (result.exit, result.record["outcome"]) == (0, "updated")
    assert result.record["before"] == was
    assert result.record["content"]["state"] == "Command Success"
    assert server.methods == ["GET", "PUT"]
    (row,) = home.journal()
    assert json.loads(row["result"])["before"] == was
    assert json.loads(row["if_state"]) == ["Command Acknowledged", IN_PROGRESS]


def test_skipped_in_any_other(home, server, set_state):
    """In another state nothing is sent: exit 9, and the current content is shown and recorded."""
    result = set_state("--if-state", "queued", "--if-state", "Command Scheduled")
    assert (result.exit, result.record["outcome"], result.record["attempts"]) == (9, "skipped", 0)
    assert result.record["content"] == result.record["before"] == server.status
    assert result.error["kind"] == "condition"
    assert "Command Queued or Command Scheduled" in result.error["message"]
    assert server.methods == ["GET"]
    assert [row["outcome"] for row in home.journal()] == ["skipped"]


def test_the_table_shows_before_and_after(home, server):
    """A person sees from which state to which, and for a skipped one that nothing changed."""
    result = home.run("set", "an-id", "success", "--if-state", "in-progress")
    assert "◑ Command In Progress → ✓ Command Success" in result.stdout
    result = home.run("set", "an-id", "failed", "--if-state", "in-progress")
    assert (result.exit, "→" in result.stdout) == (9, False)
    assert "✓ Command Success" in result.stdout
    assert "not as requested" not in result.stdout


@pytest.mark.parametrize(
    ("step", "code", "outcome"),
    [
        (answer(404), 5, "refused"),
        (answer(401), 4, "unauthorized"),
        (answer(500), 6, "server_error"),
        (answer(200, b"{}"), 6, "server_error"),
    ],
)
def test_what_cannot_be_read_is_not_sent(home, server, set_state, step, code, outcome):
    """Without a look at the state nothing is sent, and the read's failure is the outcome."""
    server.on("GET", forever(step))
    result = set_state("--if-state", "queued")
    assert (result.exit, result.record["outcome"], result.record["before"]) == (code, outcome, None)
    assert server.puts == []


def test_the_read_is_tried_again(home, server, set_state):
    """A failure of the read that may pass is tried again before anything is decided."""
    server.on("GET", busy, show)
    assert set_state("--if-state", "in-progress", retries=1).record["outcome"] == "updated"
    assert server.methods == ["GET", "GET", "PUT"]


def test_an_update_in_doubt_is_compared_with_what_was_read(home, server, set_state):
    """After a lost answer the first read is the baseline: a change by others is not overwritten."""
    changed = meanwhile(lambda each: each.change(state="Command Failure", reason="by hand"), busy)
    server.on("PUT", changed)
    result = set_state("--if-state", "in-progress", retries=2)
    assert (result.exit, len(server.puts)) == (10, 1)
    server.reset_status()
    server.on("PUT", applied(busy))
    result = set_state("--if-state", "in-progress", retries=2)
    assert (result.record["outcome"], result.record["confirmed"]) == ("updated", "read")


@pytest.mark.parametrize("state", [None, 5, ["Command In Progress"], "Something New"])
def test_an_odd_state_is_no_match(home, server, set_state, state):
    """A state that is no text, or that nobody knows, is not the one that was asked for."""
    server.status["state"] = state
    assert set_state("--if-state", "in-progress").record["outcome"] == "skipped"


@pytest.mark.parametrize("words", [["--if-state", "sucess"], ["--if-state", ""], ["--if-state"]])
def test_a_state_that_is_none_sends_nothing(home, server, words):
    """A misspelt condition is exit 2, with nothing read, sent or recorded."""
    assert home.run("set", "an-id", "success", *words).exit == 2
    assert (server.requests, home.journal()) == ([], [])


def test_a_rehearsal_names_the_condition(home, server):
    """A dry run asks nothing, and says on what condition the update would be sent."""
    server.on("GET", behave)
    result = home.run("set", "an-id", "success", "--if-state", "ack", "-n")
    assert (result.exit, server.requests) == (0, [])
    assert "only if the state is then Command Acknowledged" in result.stderr


def test_ids_from_standard_input_have_the_condition(home, server):
    """`set -` sends each row on the same condition."""
    result = home.run("set", "-", "success", "--if-state", "queued", "-o", "jsonl", input="an-id\n")
    assert json.loads(result.stdout)["outcome"] == "skipped"
    assert server.methods == ["GET"]
