"""Draws docs/images/performance-*.svg from docs/measurements/ (needs matplotlib)."""
import json

from .server import RESULTS, ROOT

IMAGES = ROOT / "docs" / "images"
COLOURS = {"sqlite": "#1f6f8b", "postgres": "#b5532a"}
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


def read(name):
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def save(pyplot, figure, name):
    IMAGES.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(IMAGES / f"performance-{name}.svg", metadata={"Date": None})
    pyplot.close(figure)
    print(f"docs/images/performance-{name}.svg")


def flat(pyplot):
    found = {store: told for store in NAMES if (told := read(f"flat-{store}"))}
    if not found:
        return
    words = {"create": "one by one", "bulk": "in bulk", "sync": "claimed and completed"}
    figure, axes = pyplot.subplots(1, len(found), figsize=(5 * len(found), 3.4), sharey=True, squeeze=False)
    for axis, (store, told) in zip(axes[0], found.items()):
        for scenario, marker in zip(words, "os^"):
            axis.plot([one["tasks"] for one in told if scenario in one["of_empty"]],
                      [one["of_empty"][scenario] for one in told if scenario in one["of_empty"]], marker=marker,
                      label=words[scenario])
        axis.set(title=NAMES[store], xscale="log", xlabel="tasks in the database", ylim=(0, 1.3))
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("rate against an empty database")
    axes[0][0].legend(loc="lower left")
    save(pyplot, figure, "flat")


def memory(pyplot):
    found = {store: told for store in NAMES if (told := read(f"memory-{store}"))}
    if not found:
        return
    figure, axis = pyplot.subplots(figsize=(7, 3))
    height = 0.38
    for number, (store, told) in enumerate(found.items()):
        places = [place + number * height for place in range(len(told))]
        bars = axis.barh(places, [one["mib"] for one in told], height, label=NAMES[store], color=COLOURS[store])
        axis.bar_label(bars, fmt="%.0f", padding=3)
    axis.set_yticks([place + height / 2 for place in range(len(told))], [one["what"] for one in told])
    axis.invert_yaxis()
    axis.set_xlabel("MiB held by the server's process")
    axis.legend()
    save(pyplot, figure, "memory")


def hour(pyplot):
    for store in NAMES:
        told = read(f"hour-{store}")
        if not told:
            continue
        minutes = told["minutes"]
        at = [one["minute"] for one in minutes]
        figure, axes = pyplot.subplots(2, 2, figsize=(9, 5), sharex=True)
        panels = [
            ("completed tasks a second", {"": [one["rate"] for one in minutes]}),
            ("creation, ms", {part: [one["create_ms"][part] for one in minutes] for part in ["p50", "p99"]}),
            ("memory of the process, MiB", {"": [one["rss_mib"] for one in minutes]}),
            ("database, MiB", {"": [one["disk_mib"] for one in minutes]}),
        ]
        for axis, (title, lines) in zip(axes.flat, panels):
            for name, values in lines.items():
                axis.plot(at, values, label=name)
            axis.set(title=title, ylim=(0, None))
            axis.grid(alpha=0.3)
            if len(lines) > 1:
                axis.legend()
        for axis in axes[1]:
            axis.set_xlabel("minute")
        save(pyplot, figure, f"hour-{store}")


def snapshot(pyplot):
    told = read("snapshot-postgres")
    if not told:
        return
    every = told["before"] + told["held"]
    figure, axis = pyplot.subplots(figsize=(7, 3))
    at = list(range(1 - len(told["before"]), len(told["held"]) + 1))
    axis.plot(at, [one["sync_p50_ms"] for one in every], label="p50")
    axis.plot(at, [one["sync_p99_ms"] for one in every], label="p99")
    axis.axvline(0.5, color="grey", linestyle=":")
    axis.set(xlabel="minutes since the snapshot was taken", ylabel="round trip of work, ms", ylim=(0, None))
    axis.legend()
    save(pyplot, figure, "snapshot")


def draw():
    import matplotlib
    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "taskflow", "font.size": 9, "svg.fonttype": "none",
                                "font.family": "sans-serif"})
    from matplotlib import pyplot
    for one in [flat, memory, hour, snapshot]:
        one(pyplot)
