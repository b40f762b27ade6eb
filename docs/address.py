"""The project's public address: where it stands, whether it resolves, and a new one everywhere.

    python docs/address.py              print it, and each file that names another
    python docs/address.py --resolve    ask the network; a warning in GitHub's log if nobody answers
    python docs/address.py --set URL    write a new one into pyproject.toml and all that name it

pyproject.toml, [project.urls] Repository, is the source. The address stands as text where nothing
can be looked up: badges, the first cell of a notebook that was downloaded alone, CITATION.cff.
"""

import argparse
import re
import subprocess
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GITHUB = "https://github.com/"
SUFFIXES = (".md", ".ipynb", ".py", ".cff", ".toml", ".yml", ".html")
KEPT = ("CHANGELOG.md",)  # says what was
SECONDS = 20


def address() -> str:
    """Return the address, without a slash at its end."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["urls"]["Repository"].rstrip("/")


def files() -> list[Path]:
    """Return the files of the repository in which the address may stand."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.split("\0")
    return [ROOT / n for n in listed if n.endswith(SUFFIXES) and n not in KEPT
            and (ROOT / n).is_file()]


def site(ours: str) -> str:
    """Return where GitHub publishes the pages of "owner/name"."""
    owner, name = ours.split("/")
    return f"https://{owner}.github.io/{name}"


def named(text: str, name: str) -> set[str]:
    """Return the "owner/name" of each address in a text that is one of a repository `name`: on
    GitHub, its pages, in Colab, and where a badge comes from."""
    places = r"(?:github\.com|colab\.research\.google\.com/github|shields\.io/github/[\w-]+)"
    pages = re.findall(rf"https://([\w-]+)\.github\.io/{re.escape(name)}(?![\w-])", text)
    return {f"{owner}/{name}" for owner in pages} | set(
        re.findall(rf"{places}/([\w.-]+/{re.escape(name)})(?![\w-])", text))


def others() -> dict[str, set[str]]:
    """Return the files that name another address of ours, and which."""
    ours = address().removeprefix(GITHUB)
    found = {}
    for path in files():
        wrong = named(path.read_text(encoding="utf-8"), ours.split("/")[1]) - {ours, *THE_PAPERS}
        if wrong:
            found[path.relative_to(ROOT).as_posix()] = wrong
    return found


THE_PAPERS = {"quereste/implicit-deepfake"}  # the authors' own repository has the same name


def resolves(url: str) -> str:
    """Return "" where a page answers at the address, else why not."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"),
                                    timeout=SECONDS) as answer:
            return "" if answer.status == 200 else f"status {answer.status}"
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def rewrite(new: str) -> list[str]:
    """Write a new address in place of the old one; return the files that changed."""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", new):
        raise SystemExit(f"{new} is no address of a repository: "
                         "give https://github.com/OWNER/NAME")
    old, changed = address().removeprefix(GITHUB), []
    new = new.removeprefix(GITHUB)
    folders = [f"cd {name.split('/')[1]}" for name in (old, new)]  # after a clone
    for path in files():
        text = path.read_text(encoding="utf-8")
        written = text.replace(site(old), site(new))
        written = re.sub(rf"(?<=[/\"]){re.escape(old)}(?![\w-])", new, written)
        written = re.sub(rf"\b{re.escape(folders[0])}(?![\w-])", folders[1], written)
        if written != text:
            path.write_text(written, encoding="utf-8", newline="\n")
            changed.append(path.relative_to(ROOT).as_posix())
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--set", metavar="URL")
    args = parser.parse_args()
    if args.set:
        print("\n".join(rewrite(args.set.rstrip("/"))))
    url = address()
    print(url)
    if args.resolve:
        why = resolves(url)
        print(f"::warning title=The public address does not resolve::{url}: {why}. Badges, the "
              "clone command and the notebooks' first cell lead nowhere; see docs/address.py"
              if why else "It resolves.")
    wrong = others()
    for name, found in wrong.items():
        print(f"{name} names {', '.join(sorted(found))}")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
