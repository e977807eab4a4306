"""A run goes from libtorch to PyTorch, and from PyTorch to libtorch: parameters, buffers and moments are equal at the hand-over bit by
bit, and so are the next ten losses, where both run the same kernels."""

import contextlib
import io
import os
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

# libtorch steps one tensor after the other, and so does PyTorch 1.13 on the CPU. Later ones interpolate Adam's first moment (lerp_) where
# libtorch multiplies and adds, and round it otherwise; `foreach` and `fused` are other kernels everywhere.
SAME_KERNELS = torch.__version__.startswith("1.13")
AS_IN_CPP = {
    "Adam": dict(lr=0.01, amsgrad=True, weight_decay=0.001),
    "AdamW": dict(lr=0.01, betas=(0.8, 0.99)),
    "SGD": dict(lr=0.01, momentum=0.9, nesterov=True),
    "RMSprop": dict(lr=0.01, momentum=0.5, centered=True),
    "Adagrad": dict(lr=0.01),
    "LBFGS": dict(lr=0.01, max_iter=3),
}


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.norm, self.fc2 = torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 4)

    def forward(self, x):
        return self.fc2(torch.tanh(self.norm(self.fc1(x))))


def numbers(rows, columns, factor):
    return (torch.remainder(torch.arange(rows * columns) * factor, 17).to(torch.float32) / 16 - 0.5).reshape(rows, columns)


class Run:
    def __init__(self, optimizer, seed=0):
        torch.manual_seed(seed)
        self.model = Network()
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), **AS_IN_CPP[optimizer])
        self.x, self.y = numbers(32, 8, 5), numbers(32, 4, 7)

    def losses(self, steps):
        def closure():
            self.optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(self.model(self.x), self.y)
            loss.backward()
            return loss
        return [f"{np.float32(self.optimizer.step(closure).item()).view(np.uint32):08x}" for _ in range(steps)]

    def take_up(self, path, names=None):
        self.model.load_state_dict(holdfast.to_state_dict(path))
        self.optimizer.load_state_dict(holdfast.optimizer_state_dict(path, names=names))
        return self


def contents(path):
    """Every dataset's type, shape and bytes."""
    found = {}
    with h5py.File(path, "r") as f:
        for name in ("model", "optimizer"):
            f[name].visititems(lambda path, item: found.update({f"{name}/{path}": (item.id.get_type().get_size(), item.shape, None if item.shape is None else np.asarray(item[()]).tobytes())} if isinstance(item, h5py.Dataset) else {}))
    return found


class HandOver(programs.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        torch.set_num_threads(1)

    def cpp(self, optimizer, out, *take_up):
        losses = programs.run("hand_over", optimizer, out, *take_up).split()
        self.assertEqual(len(losses), 10)
        return losses

    def test_from_cpp_to_python(self):
        for optimizer in AS_IN_CPP:
            with self.subTest(optimizer):
                path, again = self.folder / f"{optimizer}.h5", self.folder / "again.h5"
                expected = self.cpp(optimizer, path)
                run = Run(optimizer, seed=1).take_up(path)
                # What Python took up is what the file has, by a reader that is not the package.
                with h5py.File(path, "r") as f:
                    for name, tensor in run.model.state_dict().items():
                        self.assertEqual(tensor.numpy().tobytes(), np.asarray(f["model"][name][()]).tobytes(), name)
                    for name, parameter in run.model.named_parameters():
                        if optimizer == "LBFGS" and name != "fc1.weight":
                            continue
                        saved, taken = f["optimizer/state"][name], run.optimizer.state[parameter]
                        self.assertEqual(set(saved), set(taken))
                        for key in saved:
                            if key == "step":
                                self.assertEqual((saved[key].dtype, saved[key][()], int(taken[key])), (np.int64, 5, 5))
                            elif isinstance(saved[key], h5py.Dataset) and torch.is_tensor(taken[key]):
                                self.assertEqual(saved[key][()].tobytes(), taken[key].numpy().tobytes(), f"{name} {key}")
                    self.assertEqual(run.optimizer.param_groups[0]["lr"], f["optimizer/param_groups/0/lr"][()])
                # … and written again it is the same file.
                holdfast.from_state_dict(again, model=run.model, optimizer=run.optimizer)
                self.assertEqual(contents(again), contents(path))
                found = run.losses(10)
                if SAME_KERNELS:
                    self.assertEqual(found, expected)
                without = Run(optimizer)
                without.model.load_state_dict(holdfast.to_state_dict(path))
                if optimizer != "LBFGS":
                    self.assertNotEqual(without.losses(10), expected)

    def test_from_python_to_cpp(self):
        for optimizer in AS_IN_CPP:
            with self.subTest(optimizer):
                path = self.folder / f"python-{optimizer}.h5"
                run = Run(optimizer, seed=2)
                run.losses(5)
                holdfast.from_state_dict(path, model=run.model, optimizer=run.optimizer, progress={"step": 5}, step=5)
                again = self.folder / "cpp.h5"
                found = self.cpp(optimizer, again, path)
                self.assertEqual(contents(again), contents(path))
                self.assertTrue(holdfast.verify(again).sealed)
                expected = run.losses(10)
                if SAME_KERNELS:
                    self.assertEqual(found, expected)

    def test_docs_guides_python(self):
        """The blocks of docs/guides/python.md, beside a run.h5."""
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        saved = Run("Adam", seed=4)
        model, optimizer, step = saved.model, saved.optimizer, 5
        saved.losses(step)

        holdfast.from_state_dict("run.h5", model=model, optimizer=optimizer, progress={"step": step}, step=step)

        def take_up(model, optimizer):
            import holdfast

            model.load_state_dict(holdfast.to_state_dict("run.h5"))
            optimizer.load_state_dict(holdfast.optimizer_state_dict("run.h5"))
            print(holdfast.inspect("run.h5"))  # a table of path, dtype, shape
            holdfast.verify("run.h5")  # every digest; raises IntegrityError

        taken, printed = Run("Adam", seed=5), io.StringIO()
        with contextlib.redirect_stdout(printed):
            take_up(taken.model, taken.optimizer)
        self.assertRegex(printed.getvalue(), r"model/fc1.weight +float32")
        self.assertEqual(taken.losses(3), saved.losses(3))

    def test_another_order_of_parameters(self):
        path = self.folder / "order.h5"
        self.cpp("Adam", path)
        run = Run("Adam")
        order = ["fc2.weight", "norm.bias", "fc1.bias", "fc2.bias", "norm.weight", "fc1.weight"]
        parameters = dict(run.model.named_parameters())
        run.optimizer = torch.optim.Adam([parameters[name] for name in order], **AS_IN_CPP["Adam"])
        run.take_up(path, names=order)
        expected = Run("Adam").take_up(path)
        for name, parameter in expected.model.named_parameters():
            for key, moment in expected.optimizer.state[parameter].items():
                self.assertTrue(torch.equal(run.optimizer.state[parameters[name]][key], moment))
        self.assertEqual(run.losses(3), expected.losses(3))


if __name__ == "__main__":
    programs.main()
