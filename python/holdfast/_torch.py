"""PyTorch's dictionaries. torch is imported by what needs it."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

import h5py
import numpy as np

from ._read import NARROW, File, bits, decode, dtype_of, encode, group_of, identity, opened, scalar, walk
from ._write import Tensor, write

# Where an optimizer's state is no tensor in PyTorch. `step` is apart: an int64 in C++, and a float32 tensor in PyTorch.
INTEGERS, FLOATS = {"func_evals", "n_iter"}, {"t", "prev_loss"}
INTEGER_OPTIONS = {"max_iter", "max_eval", "history_size"}
# What PyTorch has and libtorch has not: how it computes, which is left to each side, and what it computes, which is written
# only where it differs from what libtorch does; C++ then refuses it by name.
HOW = {"foreach", "fused", "capturable", "differentiable", "initial_lr", "param_names", "params"}
WHAT = {"maximize": False, "decoupled_weight_decay": None}

Names = Union[Iterable[str], Any, None]


def to_tensor(dataset: h5py.Dataset) -> Any:
    import torch

    name, content = bits(dataset)
    if name in NARROW:
        kind = getattr(torch, name, None)
        if kind is None:
            raise TypeError(f"{dataset.file.filename}: {dataset.name}: this PyTorch ({torch.__version__}) has no {name}")
        signed = np.int16 if content.itemsize == 2 else np.uint8
        return torch.from_numpy(np.ascontiguousarray(content).view(signed).reshape(-1)).view(kind).reshape(content.shape)
    if not hasattr(torch, name):
        raise TypeError(f"{dataset.file.filename}: {dataset.name}: this PyTorch ({torch.__version__}) has no {name}")
    return torch.from_numpy(content.reshape(-1)).reshape(content.shape)


def to_state_dict(file: File, prefix: str = "model") -> Dict[str, Any]:
    """The tensors below /prefix, for `model.load_state_dict`. Names are dotted: what C++ has in groups, as fc1/weight, is
    fc1.weight. Tied tensors are one. Text and what is absent are left out."""
    with opened(file) as f:
        found: Dict[str, Any] = {}
        shared: Dict[Any, Any] = {}
        for path, dataset in walk(group_of(f, prefix)):
            if dtype_of(dataset) in ("absent", "string"):
                continue
            key = identity(dataset)
            if key not in shared:
                shared[key] = to_tensor(dataset)
            found[".".join(map(decode, path))] = shared[key]
        return found


def named(names: Any) -> Optional[List[str]]:
    """A list of names, of a module its parameters', or None."""
    if names is None:
        return None
    if hasattr(names, "named_parameters"):
        return [name for name, _ in names.named_parameters()]
    return list(names)


def optimizer_state_dict(file: File, prefix: str = "optimizer", names: Names = None) -> Dict[str, Any]:
    """What is below /prefix, for `optimizer.load_state_dict`. PyTorch counts parameters through all groups; the file names them.
    Where the optimizer was made of the parameters in another order than C++ had, `names` says in which: a module, or names."""
    order = named(names)
    with opened(file) as f:
        top = group_of(f, prefix)
        saved = group_of(f, f"{prefix}/param_groups")
        groups: List[Dict[str, Any]] = []
        numbers: Dict[str, int] = {}
        for g in sorted(saved, key=int):
            options = {name: scalar(saved[g][name]) for name in saved[g]}
            if "params" not in options:
                raise KeyError(f"{f.filename}: {saved[g].name}: expected params, the names of its parameters one a line, found none")
            params = list(dict.fromkeys(name for name in str(options.pop("params")).split("\n") if name))  # a tied one once
            if order is not None:
                unknown = [name for name in params if name not in order]
                if unknown:
                    raise KeyError(f"{f.filename}: {saved[g].name}: has parameters that `names` has not: {', '.join(unknown)}")
                params.sort(key=order.index)
            for name in params:
                if name in numbers:
                    raise ValueError(f"{f.filename}: {saved[g].name}: {name} is in two groups")
                numbers[name] = len(numbers)
            groups.append({**options, "params": [numbers[name] for name in params]})
        if order is not None and set(order) - set(numbers):
            raise KeyError(f"{f.filename}: /{prefix}: its groups have not all parameters of `names`: {', '.join(sorted(set(order) - set(numbers)))} missing")
        state: Dict[int, Dict[str, Any]] = {}
        for component, item in top["state"].items() if "state" in top else ():
            name = decode(component)
            if name not in numbers:
                raise KeyError(f"{f.filename}: {item.name}: state of a parameter that is in no group")
            state[numbers[name]] = {key: of_state(key, item[key]) for key in item}
        return {"state": dict(sorted(state.items())), "param_groups": groups}


def of_state(key: str, item: Any) -> Any:
    import torch

    if isinstance(item, h5py.Group):
        return [of_state("", item[str(i)]) for i in range(len(item))]
    if item.shape is None:
        return None
    if key == "step":
        return torch.tensor(float(item[()]), dtype=torch.float32)
    if key in INTEGERS:
        return int(item[()])
    if key in FLOATS:
        return float(item[()])
    return to_tensor(item)


def of_tensor(value: Any) -> Any:
    """A tensor of PyTorch as what is written; anything else as it is."""
    if not hasattr(value, "detach"):
        return value
    import torch

    tensor = value.detach()
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise TypeError(f"expected a dense tensor, found one of layout {tensor.layout}")
    tensor = tensor.resolve_conj().resolve_neg()
    key = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()) if tensor.numel() else None
    content = tensor.cpu().contiguous()
    name = str(content.dtype)[len("torch."):]
    if name in NARROW:
        flat = content.reshape(-1).view(torch.int16 if name == "bfloat16" else torch.uint8)
        return Tensor(name, flat.numpy().view(NARROW[name]).reshape(tuple(content.shape)), key)
    array = content.numpy()
    return Tensor(str(array.dtype), array, key)


def of_tensors(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {str(name): of_tensors(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [of_tensors(value) for value in values]
    return of_tensor(values)


def from_state_dict(path: Union[str, "os.PathLike[str]"], model: Any = None, optimizer: Any = None, names: Names = None, step: Optional[int] = None, **more: Any) -> None:
    """Writes a checkpoint that C++ restores with `.trust = holdfast::trust::foreign`, and verifies by its digests: whole and durable
    when this returns. `model` is a module or a state_dict, and goes to /model. `optimizer` is an optimizer, or its state_dict, and
    goes to /optimizer; its parameters' names come from `names`, in the order in which it got them, from the module, or from
    the optimizer itself if it was made of named parameters. `more` are further groups: numbers, text, arrays, tensors, and
    dictionaries of them, as progress={"step": 1000}. `step` is kept as the step of the run. Needs the module xxhash."""
    content: Dict[str, Any] = {}
    if model is not None:
        content["model"] = of_tensors(model.state_dict() if hasattr(model, "state_dict") else model)
    if optimizer is not None:
        content["optimizer"] = of_optimizer(optimizer, model, names)
    for name, value in more.items():
        content[name] = of_tensors(value)
    write(path, content, step)


def of_optimizer(optimizer: Any, model: Any, names: Any) -> Dict[str, Any]:
    saved = optimizer.state_dict() if hasattr(optimizer, "state_dict") else optimizer
    count = sum(len(group["params"]) for group in saved["param_groups"])
    module = names if hasattr(names, "named_parameters") else model if hasattr(model, "named_parameters") else None
    texts: Dict[int, str] = {}  # by the number that the state_dict has for it
    if names is not None and module is not names:
        given = named(names) or []
        if len(given) != count:
            raise ValueError(f"names: expected {count}, as many as the optimizer has parameters, found {len(given)}")
        texts = dict(zip((number for group in saved["param_groups"] for number in group["params"]), given))
    elif module is not None and hasattr(optimizer, "param_groups"):
        known = {id(parameter): name for name, parameter in module.named_parameters()}
        for group, numbered in zip(optimizer.param_groups, saved["param_groups"]):
            for parameter, number in zip(group["params"], numbered["params"]):
                if id(parameter) not in known:
                    raise ValueError(f"the optimizer has a parameter of shape {list(parameter.shape)} that is none of the module's; pass names")
                texts[number] = known[id(parameter)]
    elif all("param_names" in group for group in saved["param_groups"]):
        texts = {number: name for group in saved["param_groups"] for number, name in zip(group["params"], group["param_names"])}
    else:
        raise ValueError("an optimizer's state_dict does not name its parameters; pass the optimizer and the module themselves, or names")
    if len(set(texts.values())) != count:
        raise ValueError("names: expected a name of its own for every parameter, found one twice")

    groups: Dict[str, Any] = {}
    for i, group in enumerate(saved["param_groups"]):
        options = {name: of_option(name, value) for name, value in group.items() if name not in HOW and not (name in WHAT and (WHAT[name] is None or value == WHAT[name]))}
        options["params"] = "\n".join(with_ties([texts[number] for number in group["params"]], module))
        groups[str(i)] = options
    state = {texts[number]: {key: of_moment(key, value) for key, value in values.items()} for number, values in saved["state"].items()}
    return {"state": state, "param_groups": groups}


def with_ties(params: List[str], module: Any) -> List[str]:
    """libtorch's `parameters()` has a tied parameter once for each of its names, Python's once: the first name as often as C++ has it."""
    if module is None:
        return params
    first: Dict[int, str] = {}
    every = [first.setdefault(id(value), name) for name, value in module.state_dict(keep_vars=True).items() if getattr(value, "requires_grad", False) or name in params]
    repeated = [name for name in every if name in params]
    return repeated if list(dict.fromkeys(repeated)) == params else params


def of_option(name: str, value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return np.array([float(v) for v in value])
    if value is None or isinstance(value, (bool, str)):
        return value
    return int(value) if name in INTEGER_OPTIONS else float(value)


def of_moment(key: str, value: Any) -> Any:
    if key == "step" or key in INTEGERS:
        return np.int64(int(value))
    if key in FLOATS:
        return np.float64(float(value))
    if isinstance(value, (list, tuple)):  # also where it is empty
        return {str(i): of_tensors(v) for i, v in enumerate(value)}
    return of_tensors(value)
