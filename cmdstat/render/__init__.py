"""Results for people: the only part of cmdstat that imports `rich`.

    terminal   what a stream and an environment allow: width, colour, characters (no rich)
    signs      the sign and colour of every state and outcome, as data (no rich)
    waiting    the status line while something is waited for (no rich)
    console    the console that everything is drawn on
    texts      what stands in a cell: states, times, sizes, foreign text made harmless
    tables     labelled details and columns, and blocks where those would not fit
    content    a command's content
    meta       what the device returned (`command_meta`)
    update     the two tables of one update

The rooms that draw import rich with themselves, which costs a start about 50 ms: import them inside
the function that shows something, never at the top of a module.
"""
