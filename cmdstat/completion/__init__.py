"""What Tab offers, asked for by the scripts of `cmdstat completion` (design §1).

The protocol. A script runs `cmdstat __complete SHELL` with the command line up to the cursor, as it
was typed, in `_CMDSTAT_LINE`. Bash also gives, in `_CMDSTAT_WORD`, the part of the last word that
it is going to replace. The answer on stdout is lines:

    plain | open | files     the first: candidates, candidates to type on after (no space), or
                             "let the shell complete file names"
    CANDIDATE                for bash: what takes the replaced part's place, quoted as it was begun
    CANDIDATE<Tab>NOTE       for zsh and fish, which quote by themselves
    WORD<Tab>CANDIDATE<Tab>NOTE    for PowerShell: what to insert, and what to show

Every candidate is made of letters, digits, `.`, `_`, `-`, `=` and single spaces alone, whatever it
was made from, so that it is harmless even to a shell that would evaluate it. The exit code is 0 and
stderr empty, come what may. No key is read and nothing is sent; Typer is not even imported, since
`table.tsv` holds what it knows of the commands.
"""
