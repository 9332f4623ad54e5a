"""Which files a run reads, so that it can be told whether one of them has changed."""

from pathlib import Path

from interest_lib import fetch
from interest_lib.mapping import ColumnMapping, input_files, read_mapping


def files_of(dataset: str, data: str = "", mapping: str = "") -> list[Path]:
    """All files behind a dataset or a log of one's own, the mapping first; what is missing is fetched.

    Parameters
    ----------
    dataset
        Name of a dataset; not looked at when `data` or `mapping` is given.
    data
        File, folder or glob of events.
    mapping
        Mapping file; without `data`, it names the files itself.

    Returns
    -------
    list of Path
        Empty for a dataset that a package brings along or the library makes.

    Raises
    ------
    InputError
        A file is missing, or the mapping is wrong.

    Examples
    --------
    >>> files_of("complete_journey")
    []
    """
    if data or mapping:
        plan = read_mapping(Path(mapping)) if mapping else ColumnMapping()
        return [*([Path(mapping)] if mapping else []), *input_files(plan, Path(data) if data else None)]
    presets = fetch.presets()
    if dataset not in presets:
        return []
    folder = fetch.prepare(dataset)
    return [presets[dataset], *input_files(read_mapping(presets[dataset], folder))]
