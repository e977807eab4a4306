"""PyTorch's dictionaries through a file and back, without C++."""

import sys

import h5py
import numpy as np

import programs

sys.path.insert(0, str(programs.REPOSITORY / "python"))
import holdfast

try:
    import torch
except ImportError:
    print("no PyTorch here")
    sys.exit(77)


def equal(a, b):
    """The same tensors, bit by bit, and everything else equal."""
    if torch.is_tensor(a) and torch.is_tensor(b):
        return a.dtype == b.dtype and a.shape == b.shape and a.contiguous().view(-1).numpy().tobytes() == b.contiguous().view(-1).numpy().tobytes()
    if isinstance(a, dict):
        return set(a) == set(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))


def train(model, optimizer, steps=3):
    def closure():
        optimizer.zero_grad()
        loss = (model(torch.arange(15.0).sin().reshape(5, 3)) ** 2).sum()
        loss.backward()
        return loss
    for _ in range(steps):
        optimizer.step(closure)


class StateDicts(programs.Case):
    def round_trip(self, model, optimizer, fresh, **options):
        path = self.folder / "f.h5"
        holdfast.from_state_dict(path, model=model, optimizer=optimizer, **options)
        self.assertEqual(holdfast.verify(path).without_digest, [])
        fresh.load_state_dict(holdfast.optimizer_state_dict(path))
        return path, holdfast.to_state_dict(path)

    def test_every_optimizer(self):
        for kind, options in ((torch.optim.Adam, {"amsgrad": True}), (torch.optim.AdamW, {}), (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}), (torch.optim.SGD, {"lr": 0.1}),
                              (torch.optim.RMSprop, {"momentum": 0.1, "centered": True}), (torch.optim.Adagrad, {}), (torch.optim.LBFGS, {"max_iter": 2})):
            with self.subTest(kind.__name__):
                model = network()
                optimizer = kind(model.parameters(), **options)
                train(model, optimizer)
                other = network()
                fresh = kind(other.parameters(), lr=123)
                _, tensors = self.round_trip(model, optimizer, fresh)
                self.assertTrue(equal(dict(model.state_dict()), tensors))
                other.load_state_dict(tensors)
                mine, theirs = optimizer.state_dict(), fresh.state_dict()
                for state in mine["state"].values():
                    if "step" in state:
                        state["step"] = torch.tensor(float(state["step"]))
                    state.update({key: float(state[key]) for key in ("t", "prev_loss") if key in state})
                self.assertTrue(equal(mine["state"], theirs["state"]))
                for name, value in mine["param_groups"][0].items():
                    self.assertEqual(theirs["param_groups"][0][name], value, name)
                train(model, optimizer)
                train(other, fresh)
                self.assertTrue(equal(dict(model.state_dict()), dict(other.state_dict())))

    def test_groups_and_names(self):
        model = network()
        groups = [{"params": model[2].parameters(), "lr": 0.5}, {"params": [*model[0].parameters(), *model[1].parameters()]}]
        optimizer = torch.optim.Adam(groups, lr=0.25)
        train(model, optimizer)
        path = self.folder / "groups.h5"
        holdfast.from_state_dict(path, model=model, optimizer=optimizer)
        with h5py.File(path) as f:
            self.assertEqual(f["optimizer/param_groups/0/params"][()], b"2.weight\n2.bias")
            self.assertEqual(f["optimizer/param_groups/1/params"][()], b"0.weight\n0.bias\n1.weight\n1.bias")
            self.assertEqual((f["optimizer/param_groups/0/lr"][()], f["optimizer/param_groups/1/lr"][()]), (0.5, 0.25))
            self.assertEqual((f["optimizer/state/2.bias/step"].dtype, f["optimizer/state/2.bias/step"][()]), (np.int64, 3))
            self.assertEqual(f["optimizer/param_groups/0/betas"][()].tolist(), [0.9, 0.999])
            self.assertEqual(set(f["optimizer/param_groups/0"]), {"lr", "betas", "eps", "weight_decay", "amsgrad", "params"})
        found = holdfast.optimizer_state_dict(path)
        self.assertEqual([group["params"] for group in found["param_groups"]], [[0, 1], [2, 3, 4, 5]])
        self.assertTrue(equal(found["state"][1], dict(optimizer.state[model[2].bias])))
        # The same from dictionaries, with the names given.
        names = ["2.weight", "2.bias", "0.weight", "0.bias", "1.weight", "1.bias"]
        again = self.folder / "again.h5"
        holdfast.from_state_dict(again, model=model.state_dict(), optimizer=optimizer.state_dict(), names=names)
        self.assertEqual(again.read_bytes(), path.read_bytes())
        backwards = holdfast.optimizer_state_dict(path, names=names[::-1])
        self.assertTrue(equal(backwards["state"][0], dict(optimizer.state[model[2].bias])))
        for wrong, why in ((names[:5], "has parameters that `names` has not: 1.bias"), ([*names, "3.bias"], "not all parameters of `names`: 3.bias missing")):
            with self.assertRaisesRegex(KeyError, why):
                holdfast.optimizer_state_dict(path, names=wrong)
        for wrong, why in ((None, "does not name its parameters"), (names[:5], "expected 6, .* found 5"), ([names[0]] * 6, "found one twice")):
            with self.assertRaisesRegex(ValueError, why):
                holdfast.from_state_dict(again, model=model.state_dict(), optimizer=optimizer.state_dict(), names=wrong)
        with self.assertRaisesRegex(ValueError, "none of the module's"):
            holdfast.from_state_dict(again, model=network(), optimizer=optimizer)

    def test_what_cpp_has_not_is_written_where_it_matters(self):
        model = network()
        path = self.folder / "f.h5"
        holdfast.from_state_dict(path, model=model, optimizer=torch.optim.Adam(model.parameters(), maximize=True, foreach=True))
        with h5py.File(path) as f:
            self.assertEqual(set(f["optimizer/param_groups/0"]), {"lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "params"})

    def test_tied_parameters_are_one_object(self):
        model = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3), "b": torch.nn.Linear(3, 3)})
        model["b"].weight = model["a"].weight
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        path, tensors = self.round_trip(model, optimizer, torch.optim.SGD(model.parameters(), lr=0.2))
        self.assertIs(tensors["a.weight"], tensors["b.weight"])
        with h5py.File(path) as f:
            self.assertEqual(f["model/a.weight"], f["model/b.weight"])
            self.assertEqual(f["optimizer/param_groups/0/params"][()], b"a.weight\na.bias\na.weight\nb.bias")  # as libtorch counts

    def test_types_and_layouts(self):
        tensors = {str(dtype): torch.arange(6).reshape(2, 3).to(dtype) for dtype in (torch.bool, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
                                                                             torch.float32, torch.float64, torch.complex64, torch.complex128)}
        for name in ("float8_e4m3fn", "float8_e5m2"):
            if hasattr(torch, name):
                tensors[name] = torch.arange(6.0).reshape(2, 3).to(getattr(torch, name))
        tensors |= {"transposed": torch.arange(6.0).reshape(2, 3).T, "part": torch.arange(6)[1:4], "conj": torch.tensor([1 + 2j]).conj(), "0-d": torch.tensor(3.0),
                    "empty": torch.empty(0, 4), "nan": torch.tensor([0x7f81, 0x7fc1], dtype=torch.int16).view(torch.bfloat16)}
        path = self.folder / "types.h5"
        holdfast.from_state_dict(path, model=tensors)
        found = holdfast.to_state_dict(path)
        self.assertEqual(set(found), set(tensors))
        for name, tensor in tensors.items():
            if "8_e" in name or "bfloat16" in name or name == "nan":
                width = torch.uint8 if "8_e" in name else torch.int16
                self.assertEqual(found[name].dtype, tensor.dtype)
                self.assertTrue(torch.equal(found[name].view(width), tensor.view(width)), name)
            else:
                self.assertTrue(equal(found[name], tensor.resolve_conj()), name)
        with self.assertRaisesRegex(TypeError, "dense tensor"):
            holdfast.from_state_dict(path, model={"a": torch.eye(2).to_sparse()})

    def test_groups_of_cpp_become_dotted_names(self):
        path = self.folder / "groups.h5"
        with h5py.File(path, "w") as f:
            f["model/fc1/weight"] = np.ones((2, 3), np.float32)
            f["model/fc1/note"] = "text"
        self.assertEqual(list(holdfast.to_state_dict(path)), ["fc1.weight"])

    def test_what_this_pytorch_has_not(self):
        if hasattr(torch, "uint32"):
            self.skipTest("it has all")
        path = self.folder / "u32.h5"
        holdfast.from_state_dict(path, model={"a": np.uint32(1)})
        with self.assertRaisesRegex(TypeError, "/model/a: this PyTorch .* has no uint32"):
            holdfast.to_state_dict(path)


if __name__ == "__main__":
    programs.main()
