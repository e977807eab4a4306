#!/usr/bin/python3
"""benchmarks/compare judges as its promises say: medians of ratios within rounds, the best of several baselines, memory in bytes."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "compare"))
import plan  # noqa: E402
import targets  # noqa: E402


class Judge(unittest.TestCase):
    target = targets.Target("work", "group", "ours", ("slow", "fast"), 1.5)

    def results(self, **samples):
        return {"group": {"samples": samples, "bytes": 1000}}

    def test_ratios_are_of_one_round_and_the_median_counts(self):
        # The machine is three times slower in the second round: only ratios within it tell.
        self.assertEqual(targets.judge(self.target, self.results(ours=[2, 9, 4], fast=[2, 6, 2])), (1.5, 1.5))

    def test_the_best_baseline_counts(self):
        self.assertEqual(targets.judge(self.target, self.results(ours=[3, 3, 3], slow=[6, 6, 6], fast=[2, 2, 2]))[0], 1.5)
        self.assertEqual(targets.judge(self.target, self.results(ours=[3, 3, 3], slow=[6, 6, 6]))[0], 0.5)

    def test_what_is_not_measured_is_not_met(self):
        for results in ({}, self.results(ours=[1]), self.results(fast=[1]), self.results(ours=[], fast=[1])):
            missed, unmeasured = targets.shortfalls([self.target], results)
            self.assertEqual((missed, unmeasured), ([], [self.target]))

    def test_a_target_is_missed_above_its_limit_and_met_at_it(self):
        self.assertEqual(targets.shortfalls([self.target], self.results(ours=[3], fast=[2])), ([], []))
        self.assertEqual(targets.shortfalls([self.target], self.results(ours=[3.01], fast=[2])), ([self.target], []))

    def test_memory_is_in_bytes_beside_the_state(self):
        target = targets.Target("memory", "group", "ours", (), 32, states=1)
        self.assertEqual(targets.judge(target, self.results(ours=[1032, 900, 2000])), (1032, 1032))
        self.assertEqual(targets.shortfalls([target], self.results(ours=[1033])), ([target], []))

    def test_every_target_names_what_a_full_run_measures(self):
        groups = {g.name: {c.name for c in g.contenders} for g in plan.groups(quick=False, rounds=3)}
        for t in targets.TARGETS:
            self.assertIn(t.group, groups, t.work)
            self.assertIn(t.contender, groups[t.group], t.work)
            for baseline in t.baseline:
                self.assertIn(baseline, groups[t.group], t.work)


if __name__ == "__main__":
    unittest.main()
