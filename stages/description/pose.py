"""Where a head is turned, from five points of its face: the average head, seen from far, that fits them best.

Five points say little. The head that is fitted is nobody's own, so an angle is wrong by a constant of some degrees for
each person, and small turns are better followed than measured; far to the side, the points themselves are guesses.
Source of the way: the affine camera of Ullman & Basri, "Recognition by Linear Combinations of Models", PAMI 1991; its
nearest rotation by singular values.
"""

import numpy as np

from ...cache.records import Array

# The average head in distances of its eyes: to the right, down, and away from who looks at it. Across the picture it is
# the mean of what the detector finds in recordings of ten people who look about straight ahead, both sides alike.
# How far the tip of the nose stands out, and that the corners of the mouth lie about as deep as the eyes, is what
# anthropometry has for adults (Farkas, "Anthropometry of the Head and Face", 1994: about 26 mm of 63).
HEAD = np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.579, -0.42], [-0.418, 1.027, -0.02], [0.418, 1.027, -0.02]])
_CENTRED = HEAD - HEAD.mean(0)
_INVERSE = np.linalg.pinv(_CENTRED)  # (3, 5)
LEAST_SHARE = 0.05  # of its size that the fitted head may be thin in one direction, before it is no view of a head


def head_pose(landmarks_px: Array) -> Array:
    """Turn, nod and tilt, (R, 3) degrees, of (R, 5, 2) points: eyes, nose, mouth; left in the picture first.

    Turn: the face looks to the right of the picture. Nod: it looks up. Tilt: the head leans to the right of the
    picture, its eyes' line falling there. NaN where a point is missing, or the points are no view of a head.
    """
    points = np.asarray(landmarks_px, np.float64)
    centred = points - points.mean(1, keepdims=True)
    found = np.full((len(points), 3), np.nan)
    whole = np.isfinite(centred).all((1, 2))
    camera = np.einsum("rpc,kp->rck", centred[whole], _INVERSE)  # (r, 2, 3), picture from head
    left, sizes, right = np.linalg.svd(camera, full_matrices=False)
    rows = left @ right
    seen = sizes[:, 1] > LEAST_SHARE * np.maximum(sizes[:, 0], 1e-9)
    # The third row of a rotation: what is right times what is down is away.
    away = np.cross(rows[:, 0], rows[:, 1])
    looks = -np.stack([rows[:, 0, 2], rows[:, 1, 2], away[:, 2]], 1)  # where the nose points, right, down, away
    turn = np.arctan2(looks[:, 0], -looks[:, 2])
    nod = np.arcsin(np.clip(-looks[:, 1], -1, 1))
    # What is left when turn and nod are undone: the direction of the head's own right in the picture.
    level = np.stack([np.cos(turn), np.zeros_like(turn), np.sin(turn)], 1)  # a level head's right
    up = np.cross(looks, level)
    own = np.stack([rows[:, 0, 0], rows[:, 1, 0], away[:, 0]], 1)
    tilt = np.arctan2(-(own * up).sum(1), (own * level).sum(1))
    angles = np.degrees(np.stack([turn, nod, tilt], 1))
    angles[~seen] = np.nan
    found[whole] = angles
    return found
