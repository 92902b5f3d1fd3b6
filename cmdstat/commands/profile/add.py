"""`cmdstat profile add`: a new profile, and the key for it."""

from __future__ import annotations

from typing import Annotated

import typer

from cmdstat import options
from cmdstat.base_urls import host, normalise, tenant_base_url
from cmdstat.commands.profile import keys
from cmdstat.commands.profile.items import profile_item, show_item
from cmdstat.commands.profile.keys import KeyOptions, ask_for_key
from cmdstat.context import Context, open_context
from cmdstat.errors import LOCAL_EXITS, UsageError
from cmdstat.profiles import Profile, check_address
from cmdstat.settings import BY_NAME, named

EXAMPLES = (
    "cmdstat profile add prod --tenant acme --api-key-stdin < key.txt",
    "cmdstat profile add prod --tenant acme --api-key-command 'pass show esper'",
)
EXIT_CODES = LOCAL_EXITS


def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the new profile.")],
    tenant: Annotated[
        str | None,
        typer.Option("--tenant", metavar="T", help="The tenant: acme in acme-api.esper.cloud."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="The whole base URL, in place of a tenant."),
    ] = None,
    api_key_stdin: keys.FromStdin = False,
    api_key_command: keys.FromCommand = None,
    api_key_env: keys.FromVariable = None,
    keyring: keys.InKeyring = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Wall-clock time for one attempt; default 30.",
        ),
    ] = None,
    retries: Annotated[
        str | None,
        typer.Option(
            "--retries",
            metavar="N",
            help="Attempts after the first; default 3.",
        ),
    ] = None,
    ca_bundle: Annotated[
        str | None,
        typer.Option(
            "--ca-bundle",
            metavar="FILE",
            help="Certificates to trust, in place of the usual ones; PEM.",
        ),
    ] = None,
    client_cert: Annotated[
        str | None,
        typer.Option(
            "--client-cert",
            metavar="FILE",
            help="Certificate and private key to show to the server; one PEM file.",
        ),
    ] = None,
    allow_http: Annotated[
        bool,
        typer.Option(
            "--allow-http",
            help="Allow http:// to another machine: anyone on the way can read the key.",
        ),
    ] = False,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Add a profile, and store or name the source of its API key."""
    context = open_context(ctx, output=output, quiet=quiet)
    key_options = KeyOptions(api_key_stdin, api_key_command, api_key_env, keyring)
    settings = {
        "timeout": timeout,
        "retries": retries,
        "ca_bundle": ca_bundle,
        "client_cert": client_cert,
    }
    profile = Profile(
        name,
        parse_base_url(tenant, base_url),
        allow_http=True if allow_http else None,
        key_source=key_options.source(context.env),
        **{
            setting: named(f"--{setting.replace('_', '-')}", BY_NAME[setting].parse, text)
            for setting, text in settings.items()
            if text is not None
        },
    )
    run(context, profile, key_options)


def parse_base_url(tenant: str | None, base_url: str | None) -> str:
    """The base URL that one of the two names. Raises `UsageError` for none or both."""
    if tenant is not None and base_url is not None:
        raise UsageError("both --tenant and --base-url were given", "give one of the two, not both")
    if tenant is not None:
        return tenant_base_url(tenant)
    if base_url is not None:
        return normalise(base_url)
    raise UsageError(
        "it was not said where the profile leads", "give --tenant TENANT, or --base-url URL"
    )


def run(context: Context, profile: Profile, key_options: KeyOptions) -> None:
    """Add the profile, once all that can be wrong is known not to be, and show it."""
    context.profiles.check_free(profile.name)
    check_address(profile)
    source = profile.key_source
    key = None
    if source.is_store:
        key = ask_for_key(context, source, key_options, host(profile.base_url))
    is_first = context.profiles.add(profile, key)
    show_item(context, profile_item(context, profile), "added")
    if is_first:
        context.tell(f"{profile.name} is the first profile, and so the default one")
    context.tell(f"see whether it works: cmdstat profile check {profile.name}")
