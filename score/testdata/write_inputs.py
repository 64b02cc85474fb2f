"""Writes what inputs_test.go reads into a folder, with the libraries that people use.

The "images" that no decoder sees are short texts.
"""

import sys
from pathlib import Path

import pandas as pd

out = Path(sys.argv[1])


def tables():
    """One table of paths, in every encoding and with every separator that pandas writes."""
    frame = pd.DataFrame(
        {
            "id": [7, 8, 9, 10],
            "file": ["a, b.jpg", "sub/é€😀.jpg", None, "https://example.com//c;d.jpg"],
            "note": ['says "no"', "tab\there", "two\nlines", "semi;colon"],
        }
    )
    for name, separator in {"comma": ",", "tab": "\t", "semicolon": ";", "bar": "|"}.items():
        for encoding in "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be":
            text = frame.to_csv(index=False, sep=separator)
            mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
            (out / f"{name}-{encoding}.csv").write_bytes((mark + text).encode(encoding))
    frame.to_csv(out / "tab.tsv", index=False, sep="\t")
    frame.to_parquet(out / "table.parquet")
    frame[["file"]].dropna().to_csv(out / "one.csv", index=False)
    (out / "unmarked.csv").write_bytes(frame.to_csv(index=False).encode("utf-16-le"))
    for encoding in "utf-8", "utf-8-sig", "utf-16", "utf-16-be":
        mark = "\ufeff" if encoding == "utf-16-be" else ""
        text = mark + "".join(f"{out}/{name}\r\n" for name in ("a, b.jpg", "sub/é€😀.jpg"))
        (out / f"list-{encoding}.txt").write_bytes(text.encode(encoding))


(out / "sub").mkdir()
(out / "a, b.jpg").write_text("first")
(out / "sub/é€😀.jpg").write_text("second")
tables()
