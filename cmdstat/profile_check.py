"""Whether a profile works: one real call, and plain words for each way in which it can fail.

The call is a list of one, which every key may make and which changes nothing, so whatever goes
wrong is the address's, the key's or the way's fault. What the client says of it for any command is
said here for somebody who is setting a profile up. Pure: the call is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cmdstat.answers import Answer, Obstacle
from cmdstat.base_urls import CLOUD, host
from cmdstat.errors import CmdstatError, ServerFailed
from cmdstat.key_sources import how_to_store
from cmdstat.paging import Query, read_page

QUERY = Query(limit=1)
"""What is asked for: a list of one."""


class Verdict(StrEnum):
    """What one call showed, as JSON has it; the words are the same with spaces."""

    WORKS = "works"
    KEY_REFUSED = "key_refused"
    WRONG_ADDRESS = "wrong_address"
    NAME_UNKNOWN = "name_unknown"
    NOTHING_LISTENS = "nothing_listens"
    NOT_REACHABLE = "not_reachable"
    NOT_TRUSTED = "certificate_not_trusted"
    NOT_ACCEPTED = "client_certificate_not_accepted"
    NO_ANSWER = "no_answer"
    PROXY_IN_THE_WAY = "proxy_in_the_way"
    TIMED_OUT = "timed_out"
    SERVER_FAILED = "server_failed"

    @property
    def words(self) -> str:
        """For a person: `key refused`."""
        return self.replace("_", " ")


_BY_OBSTACLE = {
    Obstacle.CERTIFICATE: Verdict.NOT_TRUSTED,
    Obstacle.IDENTITY: Verdict.NOT_ACCEPTED,
    Obstacle.PROXY: Verdict.PROXY_IN_THE_WAY,
    Obstacle.NAME: Verdict.NAME_UNKNOWN,
    Obstacle.NOBODY: Verdict.NOTHING_LISTENS,
    Obstacle.TIME: Verdict.TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Place:
    """What is checked. `profile` is None for the environment's pair; `proxy` is shown as it is."""

    profile: str | None
    base_url: str
    timeout: float
    proxy: str | None = None

    def change(self, assignment: str) -> str:
        """How to change a setting of it: a command for a profile, a variable for the pair."""
        if self.profile is None:
            return f"CMDSTAT_{assignment.upper()}"
        return f"cmdstat profile set {self.profile} {assignment}"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict, the answer that it rests on, and the error to end with, None if it works."""

    verdict: Verdict
    answer: Answer
    error: CmdstatError | None = None


def check(place: Place, call: Callable[[], Answer]) -> Finding:
    """Make the call and say what it showed."""
    answer = call()
    error = answer.error or _wrong_shape(answer)
    if error is None:
        return Finding(Verdict.WORKS, answer)
    verdict = _verdict(place, answer)
    told = type(error)(_message(place, verdict, answer, error), _hint(place, verdict, error))
    told.__cause__ = error
    return Finding(verdict, answer, told)


def _wrong_shape(answer: Answer) -> ServerFailed | None:
    try:
        read_page(answer.usable())
    except ServerFailed as error:
        return error
    return None


def _verdict(place: Place, answer: Answer) -> Verdict:
    """The verdict on an answer that is none of the API's list."""
    status = answer.status
    if status in (401, 403):
        return Verdict.KEY_REFUSED
    if status == 408:
        return Verdict.TIMED_OUT
    if status is not None and answer.obstacle is None:
        is_server = status == 429 or status >= 500
        return Verdict.SERVER_FAILED if is_server else Verdict.WRONG_ADDRESS
    is_certificate = answer.obstacle in (Obstacle.CERTIFICATE, Obstacle.IDENTITY)
    if place.proxy is not None and not answer.sent and not is_certificate:
        return Verdict.PROXY_IN_THE_WAY
    if answer.obstacle is not None:
        return _BY_OBSTACLE[answer.obstacle]
    return Verdict.NO_ANSWER if answer.sent else Verdict.NOT_REACHABLE


def _message(place: Place, verdict: Verdict, answer: Answer, error: CmdstatError) -> str:
    """What failed and why; the client's own words where they say it."""
    there = host(place.base_url)
    if verdict is Verdict.WRONG_ADDRESS and answer.status == 404:
        return f"wrong address: {there} does not know the path of the API (404)"
    if verdict is Verdict.WRONG_ADDRESS:
        return f"wrong address: {there} answers, but not as the API does: {error.message}"
    if verdict is Verdict.PROXY_IN_THE_WAY and place.proxy is not None:
        why = error.message.partition(": ")[2] or error.message
        return f"there is no way through the proxy {place.proxy} to {there}: {why}"
    return error.message


def _hint(place: Place, verdict: Verdict, error: CmdstatError) -> str:
    """What to do about it."""
    there = host(place.base_url)
    name = there.partition(":")[0]
    trust = "REQUESTS_CA_BUNDLE=FILE" if place.profile is None else place.change("ca_bundle=FILE")
    own = "client_cert of a profile" if place.profile is None else place.change("client_cert=FILE")
    store = "" if place.profile is None else f", or store another: {how_to_store(place.profile)}"
    return {
        Verdict.KEY_REFUSED: f"see in the console of {there} whether the key is valid{store}",
        Verdict.WRONG_ADDRESS: _address_hint(place),
        Verdict.NAME_UNKNOWN: _address_hint(place),
        Verdict.NOTHING_LISTENS: f"check host and port of {place.base_url}, and that the server"
        " runs",
        Verdict.NOT_TRUSTED: f"if an authority of your own signed it, name its PEM file: {trust}",
        Verdict.NOT_ACCEPTED: f"name the PEM file of one: {own}",
        Verdict.NO_ANSWER: f"check host and port; if a client certificate is asked for: {own}",
        Verdict.PROXY_IN_THE_WAY: "check HTTPS_PROXY and HTTP_PROXY; to go past it:"
        f" NO_PROXY={name}",
        Verdict.TIMED_OUT: f"try again, or give it longer: {place.change('timeout=SECONDS')}",
    }.get(verdict, error.hint)


def _address_hint(place: Place) -> str:
    if host(place.base_url).endswith(CLOUD):
        usual = "its first part is the tenant's name"
    else:
        usual = f"a tenant's is https://TENANT-api{CLOUD}/api"
    return (
        f"the base URL is {place.base_url}; {usual}; to change it: {place.change('base_url=URL')}"
    )
