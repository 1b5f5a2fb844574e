"""Variants of a study: some settings differ. They share every result that the change leaves alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from persistem.errors import PersistemError
from persistem.study.load import make_study
from persistem.study.members import specimens_of, states_of

if TYPE_CHECKING:
    from persistem.study import Study
    from persistem.study.fields import Section
    from persistem.study.members import Specimen

#: What a variant shares with its study: how it runs, its name and figures, the user's structures and micrographs.
FIXED = ("run", "name", "figures", "structures", "labelled", "micrographs", "map_with")
#: What a variant does without.
SHOWN = {"figures", "labelled", "micrographs", "map_with"}


def variant(study: Study, changes: Mapping[str, Any], where: str) -> Study:
    """A study with other values for some dotted keys, e.g. ``imaging.voltage``; ``where`` names them in a message.

    Raises PersistemError if a key does not exist or belongs to the whole study, or if the variant is not valid.
    """
    for key in changes:
        if key.split(".")[0] in FIXED:
            raise PersistemError(
                f"{where}: {key}: cannot differ from the study; {', '.join(FIXED)} belong to the whole study"
            )
    return _changed(study, changes, where)


def _changed(study: Study, changes: Mapping[str, Any], where: str) -> Study:
    settings = study.model_dump(mode="json", exclude_unset=True, exclude=SHOWN)
    for key, value in changes.items():
        _set(settings, key.split("."), deepcopy(value), study, f"{where}: {key}")
    try:
        return make_study(settings)
    except PersistemError as error:
        problems = [line.removeprefix("study: ") for line in str(error).splitlines()]
        raise PersistemError(f"{where}: {'; '.join(problems)}") from error


def changed_section(section: Section, changes: Mapping[str, Any], where: str) -> Any:
    """A section of a study with other values for some dotted keys; as ``variant``, without the rest of the study."""
    settings = section.model_dump(mode="json", exclude_unset=True)
    for key, value in changes.items():
        _set(settings, key.split("."), deepcopy(value), section, f"{where}: {key}")
    try:
        return type(section).model_validate(settings)
    except ValidationError as error:
        raise PersistemError(f"{where}: {error.errors()[0]['msg']}") from error


#: What asks for more than specimens and their micrographs.
FURTHER: dict[str, Any] = {"evaluation": None, "model": None, "truth": None}


def plain(study: Study, where: str) -> Study:
    """The study's classified specimens and how they are imaged, without evaluation, model and trial."""
    return with_seeds(variant(study, FURTHER, where), (), where)


def with_seeds(study: Study, seeds: Iterable[int], where: str) -> Study:
    """A study of the classified specimens with some seeds only; without ``seeds``, with all of them.

    Raises PersistemError if a seed is not one of the study's.
    """
    classified = [s for s in specimens_of(study) if s.state is not None]
    known = sorted({s.seed for s in classified})
    wanted = sorted(set(seeds)) or known
    missing = sorted(set(wanted) - set(known))
    if missing:
        raise PersistemError(f"{where}: seeds = {missing}: the study's states have seeds {known}")
    return _of(study, [s for s in classified if s.seed in wanted], where)


def one_state(study: Study, state: str, where: str) -> Study:
    """A study of the specimens of one state alone. Raises PersistemError if there is no such state."""
    if state not in states_of(study):
        raise PersistemError(f"{where}: state = {state!r}: the study has {', '.join(states_of(study))}")
    own = {} if study.structures else {"states": {state: study.states[state].model_dump(mode="json")}}
    return _of(_changed(study, own, where), [s for s in specimens_of(study) if s.state == state], where)


def specimen_alone(study: Study, changes: Mapping[str, Any], where: str) -> Study:
    """A study of one specimen, which ``md.series`` among the changes makes; it is the only state.

    Raises PersistemError unless ``md.series`` makes exactly one.
    """
    series = changes.get("md.series")
    if not isinstance(series, list) or len(series) != 1 or not isinstance(series[0], Mapping):
        raise PersistemError(f"{where}: needs md.series with one series, of one temperature, seed and rt")
    made = [series[0].get(key) for key in ("temperatures", "seeds", "rt")]
    each = [values[0] for values in made if isinstance(values, list) and len(values) == 1]
    if len(each) < len(made):
        raise PersistemError(f"{where}: md.series: needs one temperature, one seed and one rt; there are {made}")
    alone = {"states": {"alone": {"temperature": each[0], "rt": each[2]}}}
    own = {"md.schedule": None} if study.md.schedule is not None else {}
    return variant(study, {**FURTHER, **own, **changes, **alone}, where)


def _of(study: Study, chosen: Iterable[Specimen], where: str) -> Study:
    """A study of these specimens."""
    update: dict[str, Any]
    if study.structures:
        update = {"structures": [s.structure.model_dump(mode="json") for s in chosen if s.structure]}
    elif study.md.schedule is not None:
        update = {"md.schedule.seeds": sorted({s.seed for s in chosen})}
    else:
        # a series each, so that they keep their order: it is in the digest of the learning
        update = {"md.series": [{"temperatures": [s.temperature], "rt": [s.rt], "seeds": [s.seed]} for s in chosen]}
    return _changed(study, update, where)


def _set(settings: dict[str, Any], path: list[str], value: Any, section: Any, where: str) -> None:
    """Set one dotted key of a study's settings; ``section`` is the study, whose defaults fill the gaps."""
    name, *rest = path
    known = section if isinstance(section, Mapping) else dict(section) if section is not None else {}
    if not rest:
        settings[name] = value
        return
    inner = known.get(name)
    if inner is None or not (isinstance(inner, Mapping) or hasattr(inner, "model_fields_set")):
        raise PersistemError(f"{where}: no such setting; {name!r} holds none (of {', '.join(known) or 'nothing'})")
    if not isinstance(settings.get(name), dict):
        # dump all of it: a new section starts from its own defaults, which may differ from its parent's
        settings[name] = TypeAdapter(Any).dump_python(inner, mode="json")
    _set(settings[name], rest, value, inner, where)
