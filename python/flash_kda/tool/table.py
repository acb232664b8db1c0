"""Tables of text."""


def print_table(header, rows):
    columns = list(zip(header, *rows)) if rows else [(name,) for name in header]
    widths = [max(len(str(cell)) for cell in column) for column in columns]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
