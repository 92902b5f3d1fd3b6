"""GET of one command and of the listing, as the contract has them."""

from __future__ import annotations

import documented
import pytest


def test_a_command_is_read_by_its_id(service, command: str) -> None:
    """The content is the command's own, with every documented field of it."""
    content = service.read(command)
    assert content["id"] == command
    for name in ("request", "device", "reason", "created_at", "updated_at"):
        assert isinstance(content[name], str)
    assert content["state"] in documented.REPORTED


@pytest.mark.parametrize(
    "unknown", ["ffffffff-0000-4000-8000-ffffffffffff", "a/b", "ü", "..%2f", "%", "a b?c#d"]
)
def test_an_unknown_id_is_not_found(service, unknown: str) -> None:
    """Whatever the id looks like, once it is encoded as one segment it is a 404."""
    assert service.send("getCommandStatus", command=unknown).status_code == 404


def test_the_listing_shows_what_a_read_shows(service, command: str) -> None:
    """One command has one content, wherever it is read."""
    assert service.read(command) in service.every()


def test_a_page_has_twenty_results_unless_asked_otherwise(service) -> None:
    """The documented default limit."""
    content = service.page()
    assert len(content["results"]) == min(20, content["count"])


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_paging_by_next_finds_each_command_once(service, limit: int) -> None:
    """Pages by `next` to the end are the whole listing, in its order, nothing twice."""
    whole = [each["id"] for each in service.every(limit=100)]
    assert [each["id"] for each in service.every(limit=limit)] == whole
    assert len(set(whole)) == len(whole) == service.page(limit=1)["count"]


def test_offset_skips_and_previous_leads_back(service) -> None:
    """`offset` counts results, and `previous` is the page before."""
    whole = service.page(limit=6)["results"]
    content = service.page(limit=2, offset=3)
    assert content["results"] == whole[3:5]
    answer = service.session.get(
        content["previous"], headers={"Authorization": f"Bearer {service.api_key}"}, timeout=30
    )
    service.validate("listCommandStatuses", answer)
    assert answer.json()["content"]["results"] == whole[1:3]


def test_the_first_page_has_no_previous_and_the_last_no_next(service) -> None:
    """Both ends of the listing are told by null."""
    first = service.page(limit=1)
    assert first["previous"] is None
    assert service.page(limit=1, offset=first["count"] - 1)["next"] is None


def test_an_offset_past_the_end_is_an_empty_page(service) -> None:
    """There is nothing there, and the count still tells how much there is."""
    content = service.page(offset=1_000_000)
    assert (content["results"], content["next"]) == ([], None)
    assert content["count"] == service.page()["count"]


@pytest.mark.parametrize("name", ["request", "device"])
def test_an_id_filter_keeps_the_commands_of_one(service, name: str) -> None:
    """`request` and `device` with one id keep exactly the commands of that one."""
    whole = service.every()
    wanted = whole[-1][name]
    assert service.every(**{name: wanted}) == [each for each in whole if each[name] == wanted]


@pytest.mark.parametrize("name", ["request", "device"])
def test_an_id_filter_takes_several_joined_by_commas(service, name: str) -> None:
    """Several ids keep the commands of any of them, in the listing's order, paged too."""
    whole = service.every()
    wanted = list(dict.fromkeys(each[name] for each in whole))[1:3]
    kept = service.every(**{name: ",".join(wanted)}, limit=2)
    assert len(wanted) == 2
    assert kept == [each for each in whole if each[name] in wanted]


@pytest.mark.parametrize("state", documented.REPORTED)
def test_the_state_filter_keeps_one_state(service, state: str) -> None:
    """Each of the nine states can be asked for."""
    kept = service.every(state=state)
    assert kept == [each for each in service.every() if each["state"] == state]


def test_a_state_that_was_just_set_is_found_by_it(service, command: str) -> None:
    """The filter goes by the present state."""
    for state in ("Command Acknowledged", "Command Cancelled"):
        service.update(command, {"state": state})
        assert command in [each["id"] for each in service.every(state=state)]
    assert command not in [each["id"] for each in service.every(state="Command Acknowledged")]


def test_internal_commands_can_be_left_out(service) -> None:
    """`exclude_internal_commands` keeps the order of what it keeps, and false leaves out none."""
    whole = service.every()
    assert service.every(exclude_internal_commands="false") == whole
    kept = service.every(exclude_internal_commands="true", limit=3)
    assert kept
    assert kept == [each for each in whole if each in kept]
    assert len(kept) == service.page(exclude_internal_commands="true", limit=1)["count"]


def test_filters_are_joined_by_and_and_kept_from_page_to_page(service) -> None:
    """Only what passes every filter is listed, on the later pages as on the first."""
    device = service.every()[0]["device"]
    state = service.every(device=device)[0]["state"]
    kept = service.every(device=device, state=state, exclude_internal_commands="false", limit=1)
    assert kept
    assert kept == [
        each for each in service.every() if (each["device"], each["state"]) == (device, state)
    ]


def test_filters_that_nothing_passes_give_an_empty_page(service) -> None:
    """Nothing found is a 200 with no results, not a 404."""
    content = service.page(device="ffffffff-0000-4000-8000-ffffffffffff")
    assert content == {"count": 0, "previous": None, "next": None, "results": []}
