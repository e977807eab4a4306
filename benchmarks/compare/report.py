"""A comparison as Markdown and as a plot."""

import statistics

import targets

NOTES = """\
- A figure is the median of its rounds; a ratio is the median of the ratios in each round. The machine's own limits are bare system calls:
  **limit write** is fallocate, O_DIRECT, four pieces of 8 MiB (or 4 MiB) of huge pages in flight, fsync; **gathered write** is one buffer of
  all tensors and one write, buffered or direct; **pread** is one thread into warm memory. Where there are two of a kind, the better one counts.
- Every save is durable (peers: fsync of the file after they wrote it) unless its name says otherwise. Before every sample nothing waits to be
  written, and a throw-away file of the state's size is written and deleted, since a virtual machine's memory comes and goes.
- libtorch, `torch.load`, safetensors and numpy load into new memory; the others into tensors that are there.
- Not measured: `torch.distributed.checkpoint.async_save`, which the PyTorch of Debian 12 (1.13) does not have; one to four threads, since
  holdfast has no setting for that and uses the machine's."""


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def time_text(seconds):
    scale, unit = next(((s, u) for s, u in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")) if seconds >= s), (1e-9, "ns"))
    return f"{number(seconds / scale)} {unit}"


def value_text(contender, value):
    return f"{value / targets.MIB:.1f} MiB" if contender.endswith(", memory") else time_text(value)


def table(head, rows):
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)) + "\n"


def target_rows(run):
    results = run["groups"]
    for t in targets.of(run["only"]):
        reached, allowed = targets.judge(t, results)
        verdict = "not measured" if reached is None else "met" if reached <= allowed else "**missed**"
        if t.is_memory:
            limit = f"{t.at_most / targets.MIB:.0f} MiB" + (f" + {t.states:g} × state" if t.states else "")
            shown = "–" if reached is None else f"{reached / targets.MIB:.1f} MiB" + (f" beside a state of {results[t.group]['bytes'] / targets.MIB:.0f} MiB" if t.states else "")
        else:
            limit = f"{number(t.at_most)} × {' or '.join(t.baseline)}"
            shown = "–" if reached is None else number(reached)
        yield [t.work, limit, shown, verdict]


def group_table(group):
    samples, baseline = group["samples"], group["baseline"]
    rows = []
    for name in sorted(samples, key=lambda n: statistics.median(samples[n])):
        ratio = targets.ratio(samples, name, baseline)
        low, middle, high = (value_text(name, f(samples[name])) for f in (min, statistics.median, max))
        rows.append([f"**{name}**" if "holdfast" in name else name, middle, *([number(ratio)] if ratio else []), f"{low} to {high}"])
    return table(["", "median", *(["× " + " or ".join(baseline)] if baseline else []), "range"], rows)


def growth_table(groups):
    names = list(dict.fromkeys(n for g in groups for n in g["samples"]))
    return table(["", *names], [[g["title"], *(time_text(statistics.median(g["samples"][n])) if n in g["samples"] else "–" for n in names)] for g in groups])


def is_growth(name):
    return name.startswith(("count ", "size "))


def missing_rows(results):
    why = {}
    for group in results.values():
        for name, reason in group["missing"].items():
            why.setdefault((name.removesuffix(", no fsync").removesuffix(", load"), reason), []).append(group["title"])
    return [[name, reason, "everywhere" if reason == "not installed" else "; ".join(where)] for (name, reason), where in sorted(why.items())]


def markdown(run):
    results = run["groups"]
    parts = ["# holdfast beside its peers and the machine's limits\n",
             f"{run['when']}, seed {run['seed']}" + (", **quick: smaller states and few rounds**" if run["quick"] else "") + "\n",
             table(["", ""], [[k, v.replace("|", "\\|")] for k, v in run["machine"].items()]),
             "## What must be reached\n", table(["work", "at most", "reached", ""], target_rows(run))]
    for name, group in results.items():
        if not is_growth(name):
            parts += [f"## {group['title']}\n", f"{group['tensors']:,} tensors, {group['bytes'] / 1e6:,.1f} MB.\n", group_table(group)]
    for kind, title in (("count ", "By number of tensors"), ("size ", "By size")):
        groups = [g for n, g in results.items() if n.startswith(kind)]
        if groups:
            parts += [f"## {title}\n", growth_table(groups)]
    missing = missing_rows(results)
    if missing:
        parts += ["## Not measured\n", table(["", "why", "where"], missing)]
    if run["left_out"]:
        parts += ["\n".join(f"- Left out: {line}" for line in run["left_out"]) + "\n"]
    return "\n".join([*parts, "## How to read this\n", NOTES]) + "\n"


def bars(axes, group):
    names = sorted((n for n in group["samples"] if not n.endswith(", memory")), key=lambda n: -statistics.median(group["samples"][n]))
    ratios = [targets.ratio(group["samples"], n, group["baseline"]) for n in names]
    colours = ["tab:orange" if "holdfast" in n else "tab:gray" if n in group["baseline"] else "tab:blue" for n in names]
    axes.bar_label(axes.barh(names, ratios, color=colours), labels=[number(r) for r in ratios], fontsize=7, padding=2)
    axes.margins(x=0.1)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_title(group["title"], fontsize=10)
    axes.set_xlabel("× " + " or ".join(group["baseline"]), fontsize=8)
    axes.tick_params(labelsize=7)


def lines(axes, groups, measure, label):
    for name in dict.fromkeys(n for g in groups for n in g["samples"]):
        points = [(g[measure], statistics.median(g["samples"][name])) for g in groups if name in g["samples"]]
        axes.plot(*zip(*points), marker="o", markersize=3, label=name, linewidth=2 if "holdfast" in name else 1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label, fontsize=8)
    axes.set_ylabel("seconds", fontsize=8)
    axes.legend(fontsize=6)
    axes.tick_params(labelsize=7)


def plot(run, path):
    """Draws to `path`; False where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    results = run["groups"]
    compared = [g for n, g in results.items() if not is_growth(n) and g["baseline"] and any(b in g["samples"] for b in g["baseline"])]
    grown = [(groups, measure, label) for kind, measure, label in (("count ", "tensors", "tensors of 1 KiB"), ("size ", "bytes", "bytes"))
             if (groups := [g for n, g in results.items() if n.startswith(kind)])]
    count = len(compared) + len(grown)
    if count == 0:
        return True
    figure, all_axes = pyplot.subplots((count + 1) // 2, 2, figsize=(14, 3.6 * ((count + 1) // 2)), squeeze=False)
    free = list(all_axes.flat)
    for group in compared:
        bars(free.pop(0), group)
    for g in grown:
        lines(free.pop(0), *g)
    for axes in free:
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    return True
