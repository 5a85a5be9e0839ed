"""Small classifiers on frozen features: the two-layer probe of FishNet and AwA2, and NeWT's support vector machine.

Probe of BioCLIP 2 (evaluation/fishnet.py, awa2.py): Linear(D, 512), Dropout(0.5), Linear(512, questions), no activation;
Adam, learning rate halved every 20 of 50 epochs, batches of 256, binary cross-entropy. Track `compat` scores it as the
original does: the last epoch, dropout still on, yes where the logit is above 0.5. Track `fixed` turns dropout off, says
yes above 0, and chooses learning rate and epoch by a tenth of the training pictures that it does not learn from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

EPOCHS, BATCH, HIDDEN = 50, 256, 512
HELD_OUT = 0.1  # of the training pictures, on the track `fixed`
RATES = (1e-4, 1e-3)  # learning rates it chooses from
SEARCH_DRAWS, SEARCH_FOLDS = 100, 5
CS, GAMMAS = tuple(10.0**k for k in range(-3, 2)), (1e-4, 1e-3)  # of the grid of the track `fixed`

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def probe(taught: Floats, truth: Bools, asked: Floats, *, rate: float, track: str, seed: int, epochs: int = 0) -> Bools:  # fmt: skip
    """Answers (m, questions) to yes-or-no questions, learned from features (n, D) and their answers (n, questions).

    `epochs` 0 are EPOCHS.
    """
    device, epochs = torch.device("cuda" if torch.cuda.is_available() else "cpu"), epochs or EPOCHS
    x, y, q = (torch.from_numpy(np.array(part, dtype=np.float32)).to(device) for part in (taught, truth, asked))  # fmt: skip
    if track == "compat":
        net = _net(x.shape[1], y.shape[1], seed, device)
        for _ in _epochs(net, x, y, rate, epochs, seed):
            pass
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(seed)  # dropout is on: the net was never told that training is over
            answer: Bools = (net(q) > 0.5).cpu().numpy()
        return answer
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    n_held = max(1, round(HELD_OUT * len(x)))
    held, kept = order[:n_held], order[n_held:]
    best, answer = -1.0, np.zeros((len(asked), truth.shape[1]), dtype=np.bool_)
    for one in (rate, *(r for r in RATES if r != rate)):
        net = _net(x.shape[1], y.shape[1], seed, device)
        for _ in _epochs(net, x[kept], y[kept], one, epochs, seed):
            net.eval()
            with torch.no_grad():
                right = float(((net(x[held]) > 0) == (y[held] > 0)).float().mean())
                if right > best:
                    best, answer = right, (net(q) > 0).cpu().numpy()
            net.train()
    return answer


def _net(n_in: int, n_out: int, seed: int, device: torch.device) -> torch.nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = torch.nn.Sequential(torch.nn.Linear(n_in, HIDDEN), torch.nn.Dropout(0.5), torch.nn.Linear(HIDDEN, n_out))  # fmt: skip
    return made.to(device)


def _epochs(
    net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, rate: float, epochs: int, seed: int
) -> Any:
    """Train epoch by epoch; yields after each."""
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)
    draw = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # of the dropout
        for _ in range(epochs):
            order = torch.from_numpy(draw.permutation(len(x))).to(x.device)
            for start in range(0, len(x), BATCH):
                part = order[start : start + BATCH]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x[part]), y[part])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            schedule.step()
            yield


def svm(taught: Floats, truth: Any, asked: Floats, *, track: str, seed: int, workers: int = -1) -> NDArray[Any]:  # fmt: skip
    """The answers of a support vector machine (m,), features prepared as the original's NeWT does.

    Centred by the mean of what is learned from, scaled to length 1, then each dimension standardised. `compat` searches
    100 random settings with 5-fold cross-validation (scikit-learn's RandomizedSearchCV, the same for equal seeds);
    `fixed` a grid of 35 on folds of a seed. Where a class has fewer pictures than folds, as many folds as it has.
    """
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    mean = taught.mean(0)
    x, q = (_unit(part - mean) for part in (taught, asked))
    y = np.asarray(truth)
    names, counts = np.unique(y, return_counts=True)
    if len(names) < 2:
        return np.full(len(asked), y[0])
    n_folds = min(SEARCH_FOLDS, int(counts.min()))
    made = make_pipeline(StandardScaler(), SVC())  # standardised within each fold
    if n_folds < 2:
        return np.asarray(made.set_params(svc__kernel="linear").fit(x, y).predict(q))
    if track == "compat":
        from scipy.stats import loguniform

        space = {"svc__C": loguniform(1e-3, 1e1), "svc__gamma": loguniform(1e-4, 1e-3),
                 "svc__kernel": ["rbf", "linear", "sigmoid", "poly"]}  # fmt: skip
        search = RandomizedSearchCV(made, space, n_iter=SEARCH_DRAWS, cv=n_folds, n_jobs=workers or 1, random_state=seed)  # fmt: skip
    else:
        grid = [{"svc__kernel": ["linear"], "svc__C": CS}, {"svc__kernel": ["rbf", "sigmoid", "poly"], "svc__C": CS, "svc__gamma": GAMMAS}]  # fmt: skip
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        search = GridSearchCV(made, grid, cv=folds, n_jobs=workers or 1)
    return np.asarray(search.fit(x, y).predict(q))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
