"""Forms of explanations: four aspects, each at five levels, from a child's (1) to an expert's (5)."""

from __future__ import annotations

EXPLANATION_FORMS: dict[str, tuple[tuple[str, ...], dict[int, tuple[str, ...]]]] = {
    "what": (
        ("In short, {s}", "To begin with, {s}", "Put briefly, {s}", "At heart, {s}"),
        {
            1: (
                "is like a little helper that is always busy.",
                "is like a game with one simple rule.",
                "is like a toy that you can watch at work.",
            ),
            2: (
                "is something you can notice around you on any day.",
                "is a thing that happens step by step, like baking bread.",
                "is what you get when a few everyday things meet.",
            ),
            3: (
                "is a process in which a cause leads to an effect we can measure.",
                "is a regular pattern that can be explained in a few steps.",
                "is the result of several forces that balance each other.",
            ),
            4: (
                "is a mechanism whose parts interact and respond to feedback.",
                "is usually described by a model with a handful of variables.",
                "is governed by relations that hold under stated conditions.",
            ),
            5: (
                "is best treated as a constrained dynamical system.",
                "is formally a mapping whose invariants determine its behaviour.",
                "is characterised by its limiting cases and scaling behaviour.",
            ),
        },
    ),
    "how": (
        ("As for how it works,", "On the inside,", "When you look closer,"),
        {
            1: (
                "one thing gives the next thing a tiny push.",
                "lots of small bits hold hands and move together.",
                "it goes round and round, just like a wheel.",
            ),
            2: (
                "each part does its own job and passes the result on.",
                "something goes in, gets changed, and comes out different.",
                "small steps add up until you can see the change.",
            ),
            3: (
                "a change in one quantity causes a change in another.",
                "energy or information is passed from one stage to the next.",
                "two opposite effects compete until one of them wins.",
            ),
            4: (
                "the rate depends on a gradient and on the resistance to it.",
                "a feedback loop with a delay keeps it within bounds.",
                "a threshold separates the two regimes in which it operates.",
            ),
            5: (
                "coupled nonlinear terms dominate away from equilibrium.",
                "the leading order follows from a perturbation expansion.",
                "the boundary conditions select one of several stable branches.",
            ),
        },
    ),
    "example": (
        ("For example,", "To see it,", "By way of illustration,"),
        {
            1: (
                "think of a row of ducks that follow their mother.",
                "think of blocks that fall over one after another.",
                "think of a bath that fills up, drop by drop.",
            ),
            2: (
                "watch what a pan of water does on the stove.",
                "look at how a queue moves in a shop.",
                "picture a bicycle that rolls down a gentle hill.",
            ),
            3: (
                "compare two cases that differ in a single condition.",
                "plot one quantity against the other and look at the slope.",
                "follow one unit through every stage and note what changes.",
            ),
            4: (
                "vary one parameter and hold the others at their baseline.",
                "estimate the rate constant from two measurements.",
                "write down the balance of what enters and what leaves.",
            ),
            5: (
                "linearise around the fixed point and inspect the eigenvalues.",
                "derive the asymptotics and compare them with simulations.",
                "nondimensionalise the equations and examine the small parameter.",
            ),
        },
    ),
    "point": (
        ("What matters is that", "Keep in mind that", "The main thing is that"),
        {
            1: (
                "it happens all the time, even while you sleep.",
                "it is not magic, it only looks like magic.",
                "you can find it too if you look very carefully.",
            ),
            2: (
                "it helps explain many things you see at home.",
                "it works the same way every time, which makes it useful.",
                "it needs the right conditions, or nothing happens.",
            ),
            3: (
                "the same principle appears in many other places.",
                "the cause and the effect can be tested by experiment.",
                "its limits are as instructive as the rule itself.",
            ),
            4: (
                "the usual model ignores effects that matter at extremes.",
                "correlation in such data does not establish the mechanism.",
                "the assumptions should be checked before it is applied.",
            ),
            5: (
                "the approximation breaks down near the critical point.",
                "identifiability, not precision, is the binding constraint.",
                "the open question is the closure of the higher moments.",
            ),
        },
    ),
}
