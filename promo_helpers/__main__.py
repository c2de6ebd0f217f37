"""One command for all that people do with the study, with or without Make: `python -m promo_helpers --help`.

What a command needs is imported when it runs, so that help comes at once.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from promo_helpers import __version__, paths

ASKED = ("product", "budget", "customers", "discount", "channel", "date", "even")


class Commands(click.Group):
    """The commands in the order in which they stand here.

    What cannot be read is answered with its sentence.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        from promo_helpers.depends import Unreadable

        try:
            return super().invoke(ctx)
        except Unreadable as problem:
            sys.exit(str(problem))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="promo_helpers %(version)s")
def main() -> None:
    """Personalised promotions: run the notebooks, make a campaign, check and compare results.

    \b
    python -m promo_helpers run 02_shop                      one notebook, and what it reads
    python -m promo_helpers paper --profile smoke            the whole series, small, and its paper
    python -m promo_helpers campaign --product "White Bread" --budget 50000
    python -m promo_helpers COMMAND --help                   what a command takes
    """


def about(*, shop: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that say which results a command is about.

    With `shop` also those of a shop of one's own.
    """
    options = [
        click.option("--profile", default="", help="Size of the study: a file in notebooks/profiles.  [default: paper]"),
        click.option("--out", default="", help="Folder of the results.  [default: the project, or build/PROFILE]"),
    ]
    if shop:
        options += [
            click.option(
                "--shop", default="", metavar="FOLDER", help="Your own CSV or Parquet files; results below build/FOLDER."
            ),
            click.option("--currency", default="LKR", show_default=True, help="Of the prices in --shop."),
            click.option("--margin", default="", help="Share of the price that is not cost, for products that name none."),
        ]

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options in which a campaign is asked for."""
    helps = {
        "product": "Name or id of a product.",
        "budget": "Most to spend in expectation, such as 50000.",
        "customers": "Most customers to write to.",
        "discount": "Percent off, the same for all; the best for each where it is left out.",
        "channel": "SMS or e-mail.",
        "date": "First day of sending, such as 2026-02-01.",
        "even": 'Groups to choose alike, such as "age 5": shares chosen differ by 5 points at most.',
    }
    for name in reversed(ASKED):
        command = click.option(f"--{name}", default="", help=helps[name])(command)
    return command


def settle(profile: str, out: str, shop: str = "", settings: str = "") -> str:
    """The profile that is meant. Sets PROMO_OUT to its folder of results, for processes to come as well."""
    profile = profile or ("own" if shop else "paper")
    named = out or os.environ.get("PROMO_OUT", "")
    if shop and not paths.from_project(shop).is_dir():
        sys.exit(f"There is no folder {shop}; `make template` shows what a shop's folder holds")
    if shop:
        named = paths.mark_shop(shop, settings, named)
    elif not named:
        named = "." if profile == "paper" else f"build/{profile}"
    os.environ["PROMO_OUT"] = str((paths.ROOT / named).resolve())
    return profile


@main.command()
@click.argument("names", nargs=-1, metavar="[NOTEBOOK]...")
@about(shop=True)
@asking
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Any parameter of the notebook, repeatable.")
@click.option("--alone", is_flag=True, help="Exactly this run, and nothing that it reads.")
@click.option("--jobs", default=1, show_default=True, help="Runs side by side.")
def run(names: tuple[str, ...], profile: str, out: str, shop: str, currency: str, margin: str, **typed: Any) -> None:
    """Run notebooks and what they read; without a name, all due.

    A notebook runs with its variants, one for each data set of the profile.

    \b
    python -m promo_helpers run 02_shop --shop my-shop --currency EUR
    python -m promo_helpers run 04_recommendation --product "White Bread"
    python -m promo_helpers run 12_budget --alone --set parts=5
    """
    from promo_helpers import depends, series

    settings = [f"{name}={typed[name]}" for name in ASKED if typed[name]] + list(typed["values"])
    profile = settle(profile, out, shop, f"{currency} {margin}")
    chosen = []
    for name in names:
        name, sentence = depends.current_name(name)
        if sentence:
            click.echo(sentence)
        if not (variants := depends.runs_of(name, profile)):
            sys.exit(f"The profile '{profile}' has no run of '{name}'; it has: {', '.join(depends.runs(profile))}")
        chosen += [name] if typed["alone"] else variants
    own = _of_shop(shop, currency, margin)
    values = {name: series.typed_parameters(depends.notebook_of(name), settings) for name in chosen}  # before anything slow runs
    if typed["alone"]:
        for name in chosen:
            parameters = {**series.run_of(profile, name), **own, **values[name]}
            series.start(name, parameters, depends.stamp_of(name, profile), of_profile=not settings)
        return

    words = ["--shop", shop, "--currency", currency, "--margin", margin] if shop else []
    typed_words = [word for value in settings for word in ("--set", value)]
    _make_due(profile, typed["jobs"], chosen, words, typed_words, depends.shop_files(shop))
    _say_where(chosen, profile)


def _of_shop(shop: str, currency: str, margin: str) -> dict[str, Any]:
    """The parameters of a run that is about a shop of one's own; none for no shop."""
    from promo_helpers.series import margin_of

    if not shop:
        return {}
    return {"folder": str(paths.from_project(shop)), "currency": currency, "margin": margin_of(margin)}


def _make_due(
    profile: str,
    jobs: int,
    chosen: Sequence[str] = (),
    words: Sequence[str] = (),
    typed: Sequence[str] = (),
    beside: Sequence[Path] = (),
) -> None:
    """Make all that is due, or the runs `chosen` and what they read, each by a process of its own.

    words: further options of every run; typed: of the chosen ones. beside: files that all runs are made again for.
    """
    from promo_helpers import depends, series

    def command(name: str) -> list[str]:
        own = typed if name in chosen else ()
        return [sys.executable, "-m", "promo_helpers", "run", name, "--alone", "--profile", profile, *words, *own]

    series.build(chosen or depends.runs(profile), profile, always=chosen, command=command, jobs=jobs, beside=beside)


def _say_where(runs: list[str], profile: str) -> None:
    from promo_helpers import depends

    for name in runs:
        click.echo(f"Executed: {paths.display_path(depends.stamp_of(name, profile))}")
    click.echo(
        f"Numbers, tables: {paths.display_path(paths.out() / 'data')}; figures: {paths.display_path(paths.out() / 'figures')}"
    )


@main.command()
@about()
@click.option("--alone", is_flag=True, help="From the runs that there are.")
@click.option("--jobs", default=1, show_default=True, help="Runs side by side.")
def paper(profile: str, out: str, alone: bool, jobs: int) -> None:
    """Make what is due, check it, and typeset the paper.

    It needs latexmk.
    """
    from promo_helpers.paper import make_paper

    profile = settle(profile, out)
    if not alone:
        _make_due(profile, jobs)
    make_paper(profile)


@main.command()
@about(shop=True)
def retrain(profile: str, out: str, shop: str, currency: str, margin: str) -> None:
    """Train the purchase model anew, and compare with the saved one.

    The better one on the newest window is kept.
    """
    from promo_helpers import depends, series

    settle(profile, out, shop, f"{currency} {margin}")
    name = f"03_purchase_{'own_' if shop else ''}retrain"
    parameters = {**series.run_of("retrain", name), **_of_shop(shop, currency, margin)}
    series.start(name, parameters, depends.stamp_of(name, "retrain"))
    _say_where([name], "retrain")


@main.command()
@about(shop=True)
@asking
def campaign(profile: str, out: str, shop: str, currency: str, margin: str, **asked: str) -> None:
    """Whom to send which discount, when and why, as a list.

    It lies in data/campaigns. What is asked for is read before anything slow runs; a list that lies there is never overwritten.

    \b
    python -m promo_helpers campaign --product "White Bread" --budget 50000
    python -m promo_helpers campaign --product "White Bread" --customers 50 --discount 10 --even "age 5"
    """
    from promo_helpers.campaign_command import make_campaign

    settle(profile, out, shop, f"{currency} {margin}")
    click.echo(make_campaign(asked, shop, currency, margin))


@main.command()
@about(shop=True)
def products(profile: str, out: str, shop: str, currency: str, margin: str) -> None:
    """What a campaign can be about, the most bought first."""
    from promo_helpers.campaign_command import list_products

    settle(profile, out, shop, f"{currency} {margin}")
    click.echo(list_products(shop, currency, margin))


@main.command()
@click.argument("file", default="")
def responses(file: str) -> None:
    """What a campaign really earned, from its form filled in.

    FILE is data/campaigns/campaign_..._responses.csv, beside the list.
    """
    from promo_helpers.campaign.outcome import print_outcome

    if not file:
        sys.exit("Which file? As in: data/campaigns/campaign_white_bread_2026-01-01_responses.csv")
    print_outcome(Path(file))


@main.command()
@click.option("--out", default="build/seed", show_default=True, help="Folder of the results.")
@click.option("--jobs", default=2, show_default=True, help="Runs side by side.")
def demo(out: str, jobs: int) -> None:
    """A small shop, three campaigns and what they earned.

    It takes two minutes.
    """
    from time import perf_counter

    from promo_helpers.campaign.evaluation import print_report

    start = perf_counter()
    profile = settle("demo", out)
    _make_due(profile, jobs)
    print_report()
    click.echo(f"The demo took {perf_counter() - start:.0f} s")


@main.command()
@about()
@click.option("--each", is_flag=True, help="List every definition too.")
def check(profile: str, out: str, each: bool) -> None:
    """Do paper, numbers and files agree? Which claims hold?"""
    from promo_helpers.check import agreement, claims_held, definitions

    profile = settle(profile, out)
    click.echo(agreement(profile))
    click.echo(definitions(each))
    click.echo(claims_held(profile))


@main.command()
@about()
def html(profile: str, out: str) -> None:
    """The executed notebooks as web pages, below build/html."""
    from promo_helpers.paper import write_pages

    profile = settle(profile, out)
    click.echo(f"The notebooks as pages: {paths.display_path(write_pages(profile))}")


@main.command()
@about()
@click.option("--a", default="", metavar="FOLDER", help="A build or a release.  [default: the last release]")
@click.option("--b", default="", metavar="FOLDER", help="The same.  [default: the present build]")
def verify(profile: str, out: str, a: str, b: str) -> None:
    """Is my run the same? Two builds compared.

    The result is a sentence and a page; the exit code is 1 where something differs.
    """
    from promo_helpers.verify import compare_builds

    profile = settle(profile, out)
    sys.exit(0 if compare_builds(profile, a, b) else 1)


@main.command()
@about()
def release(profile: str, out: str) -> None:
    """Publish the present build below data/published.

    verify compares with its numbers, tables and claims.
    """
    from promo_helpers.release import make_release

    make_release(settle(profile, out))


@main.command()
@click.argument("folder", default="my-shop")
def template(folder: str) -> None:
    """Empty CSV files to fill with your own shop, in FOLDER.

    A data dictionary lies beside them. FOLDER is my-shop where it is left out.
    """
    from promo_helpers.shop.sheets import write_template

    target = Path(folder)
    write_template(target)
    click.echo(f"The files to fill lie in {paths.display_path(target)}; start with {paths.display_path(target / 'README.txt')}")


@main.command()
@click.argument("nouns", nargs=-1, metavar="[STUDY]...")
@click.option("--probes", is_flag=True, help="Renew the rows of probes alone (minutes).")
def replications(nouns: tuple[str, ...], probes: bool) -> None:
    """The long simulations kept in data/replications.

    Those whose probe gives other numbers than before are made anew, and those that are named. All of them take two hours.
    """
    from promo_helpers.kept import make_kept

    make_kept(nouns, probes)


@main.command()
@click.argument("rows", nargs=-1)
def bench(rows: tuple[str, ...]) -> None:
    """Seconds and memory of the slow parts.

    ROWS are the first words of the parts to measure. Without any, build/bench.json holds the result.
    """
    sys.path.insert(0, str(paths.ROOT))
    from tests.bench import measure

    measure(rows)


if __name__ == "__main__":
    main(prog_name="python -m promo_helpers")
