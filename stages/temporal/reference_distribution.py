"""How unlike the training clips a clip's features are, so that a score far from home can be flagged."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...cache.predictions import FEWEST_PEOPLE, RangeCheck
from ...cache.records import Array

AXES = 32  # principal axes kept; the rest counts as one residual
MOST_ROWS = 512  # clips a fit looks at, as many of each person as there are or as this allows
MOST_GROUPS = 10  # of people, of which one is left out at a time: one person each, where there are no more
FEWEST_ROWS = 8  # clips
QUANTILE = 0.99  # of the clips of people who are left out lie within the threshold


class ReferenceDistribution(nn.Module):
    """Mean and principal axes of the clips' mean features, and the distance beyond which a clip is out of range.

    The distance has two equal parts: Mahalanobis in the leading axes, per axis, and the energy outside them relative
    to that of training clips. Before `fit` the threshold is infinite: nothing is out of range.
    """

    mean: Tensor
    axes: Tensor
    variance: Tensor
    residual: Tensor
    threshold: Tensor

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        axes = min(AXES, feature_size)
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("axes", torch.zeros(axes, feature_size))  # a row per axis; zero rows are not used
        self.register_buffer("variance", torch.ones(axes))
        self.register_buffer("residual", torch.ones(()))  # mean squared norm outside the axes
        self.register_buffer("threshold", torch.tensor(float("inf")))

    @property
    def fitted(self) -> bool:
        """Whether there is a threshold."""
        return bool(self.threshold.isfinite())

    def forward(self, features: Tensor) -> Tensor:
        """(C,) distance over the threshold: above 1 is out of range; features: (C, D), mean over a clip's frames."""
        return self.distance(features) / self.threshold

    def distance(self, features: Tensor) -> Tensor:
        """(C,) float32, about 1.4 for a typical training clip."""
        centred = features.float() - self.mean
        along = centred @ self.axes.T
        outside = (centred.square().sum(1) - along.square().sum(1)).clamp(min=0)
        return ((along.square() / self.variance).mean(1) + outside / self.residual).sqrt()

    @torch.no_grad()
    def fit(self, features: Tensor, person: Array) -> RangeCheck:
        """Take the distribution of training clips (C, D), and a threshold for people who are not among them.

        person: (C,) int, whose each clip is. Each person is left out in turn and judged by the others; the threshold
        lets nearly all of these clips pass. How many of a new person's it flags is measured in the same way, with
        thresholds that the person left out has no part in. Of fewer than three people, or 8 clips, nothing can be
        said, and the threshold stays infinite.
        """
        numbers = sorted(set(person.tolist()))
        people = [features.float()[torch.from_numpy(person == number)] for number in numbers]
        rows = sum(map(len, people))
        if len(people) < FEWEST_PEOPLE or rows < FEWEST_ROWS:
            return RangeCheck(len(people), None)
        groups = [torch.cat(people[start::MOST_GROUPS]) for start in range(min(len(people), MOST_GROUPS))]
        flagged = [self._flagged(groups[:number] + groups[number + 1 :], out) for number, out in enumerate(groups)]
        self.threshold.copy_(self._threshold_of(groups))
        self._set_axes(torch.cat(groups), _axes_for(groups))
        return RangeCheck(len(people), round(max(1 - QUANTILE, sum(flagged) / len(flagged)), 4))

    def _threshold_of(self, groups: Sequence[Tensor]) -> Tensor:
        """() within which nearly all clips lie, each group's judged by the others."""
        distances = []
        for number, out in enumerate(groups):
            self._set_axes(torch.cat([*groups[:number], *groups[number + 1 :]]), _axes_for(groups))
            distances.append(self.distance(out))
        return torch.cat(distances).quantile(QUANTILE).clamp(min=1e-6)

    def _flagged(self, groups: Sequence[Tensor], out: Tensor) -> float:
        """The share of some people's clips that a reference and a threshold of other people's flag."""
        threshold = self._threshold_of(groups)
        self._set_axes(torch.cat(list(groups)), _axes_for(groups))
        return float((self.distance(out) > threshold).float().mean())

    def _set_axes(self, rows: Tensor, most: int) -> None:
        mean = rows.mean(0)
        # On the CPU: they are few, and not every device has float64.
        energy, directions = _principal_axes((rows - mean).cpu().double(), min(most, len(self.variance)))
        floor = 1e-6 * float(energy.sum().clamp(min=1e-12))
        kept = min(len(directions), int((energy > floor).sum()))
        self.mean.copy_(mean)
        self.axes.zero_()[:kept] = directions[:kept].float()
        self.variance.fill_(1)[:kept] = energy[:kept].float()
        self.residual.fill_(max(floor, float(energy[kept:].sum())))


def spread_clips(clips: Array, person: Array) -> tuple[Array, Array]:
    """At most MOST_ROWS of the clips (C,), evenly spaced and as many of each person, and whose they are."""
    numbers = sorted(set(person.tolist()))
    each = max(1, MOST_ROWS // max(1, len(numbers)))
    chosen = [_spread((person == number).nonzero()[0], each) for number in numbers]
    places = [place for places in chosen for place in places.tolist()]
    kept = places[:: max(1, -(-len(places) // MOST_ROWS))]
    return clips[kept], person[kept]


def _spread(places: Array, most: int) -> Array:
    return places[:: max(1, -(-len(places) // most))]


def _axes_for(groups: Sequence[Tensor]) -> int:
    """How many axes to keep, the same whichever group is left out: distances of few axes are no measure for many.

    Few clips tell little about many axes: at least four clips an axis.
    """
    return (sum(map(len, groups)) - max(map(len, groups))) // 4


def _principal_axes(centred: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Variances (A,), largest first, of centred rows (n, D), A = min(n, D), and the first `most` unit directions."""
    rows, size = centred.shape
    if size <= rows:
        values, vectors = torch.linalg.eigh(centred.T @ centred / rows)
        return values.flip(0).clamp(min=0), vectors.T.flip(0)[:most]
    # With fewer rows than features the rows' own products are the smaller matrix, of the same variances.
    values, vectors = torch.linalg.eigh(centred @ centred.T / rows)
    directions = vectors.T.flip(0)[:most] @ centred
    lengths = directions.norm(dim=1, keepdim=True)
    return values.flip(0).clamp(min=0), directions / torch.where(lengths > 0, lengths, 1)
