"""How unlike the training clips a clip's features are, so that a score far from home can be flagged."""

import torch
from torch import Tensor, nn

AXES = 32  # principal axes kept; the rest counts as one residual
MOST_ROWS = 1024  # clips a fit looks at, evenly spaced
QUANTILE = 0.99  # of the calibration clips lie within the threshold


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
    def fit(self, features: Tensor, calibration: Tensor | None = None) -> None:
        """Take the distribution of training clips (C, D), and the threshold from clips of people not among them.

        calibration: (V, D); None: each fifth of the training clips is judged by the other four, in order, as clips
        close in time are alike. Fewer than 8 training clips fit nothing.
        """
        rows = _spread(features.float())
        if len(rows) < 8:
            return
        if calibration is not None and len(calibration):
            self._set_axes(rows)
            distances = self.distance(_spread(calibration.float()))
        else:
            parts = torch.arange(len(rows), device=rows.device) * 5 // len(rows)
            held_out = []
            for part in range(5):
                self._set_axes(rows[parts != part])
                held_out.append(self.distance(rows[parts == part]))
            distances = torch.cat(held_out)
            self._set_axes(rows)
        self.threshold.copy_(distances.quantile(QUANTILE).clamp(min=1e-6))

    def _set_axes(self, rows: Tensor) -> None:
        mean = rows.mean(0)
        energy, directions = _principal_axes((rows - mean).double())
        floor = 1e-6 * float(energy.sum().clamp(min=1e-12))
        # Few clips tell little about many axes: at least four clips an axis.
        kept = min(len(self.variance), len(rows) // 4, int((energy > floor).sum()))
        self.mean.copy_(mean)
        self.axes.zero_()[:kept] = directions[:kept].float()
        self.variance.fill_(1)[:kept] = energy[:kept].float()
        self.residual.fill_(max(floor, float(energy[kept:].sum())))


def _principal_axes(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Variances (A,), largest first, and unit directions (A, D) of centred rows (n, D), A = min(n, D)."""
    rows, size = centred.shape
    if size <= rows:
        values, vectors = torch.linalg.eigh(centred.T @ centred / rows)
        return values.flip(0).clamp(min=0), vectors.T.flip(0)
    # With fewer rows than features the rows' own products are the smaller matrix, of the same variances.
    values, vectors = torch.linalg.eigh(centred @ centred.T / rows)
    directions = vectors.T.flip(0) @ centred
    lengths = directions.norm(dim=1, keepdim=True)
    return values.flip(0).clamp(min=0), directions / torch.where(lengths > 0, lengths, 1)


def _spread(rows: Tensor) -> Tensor:
    """At most MOST_ROWS of the rows, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // MOST_ROWS))]
