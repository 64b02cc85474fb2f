"""What scikit-learn says of answers: the metrics of each set in a file of JSON, as JSON."""

import json
import sys
import warnings

import numpy as np
from sklearn import calibration, metrics

warnings.simplefilter("ignore")  # of probabilities that do not add up to 1 in the last bits
EPSILON = np.finfo(np.float32).eps


def averages(truth: np.ndarray, answer: np.ndarray, average: str) -> dict:
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, answer, average=average, zero_division=0
    )
    return {"precision": precision, "recall": recall, "f1": f1}


def reliability(right: np.ndarray, confidence: np.ndarray) -> tuple[list[dict], float]:
    """The bins of calibration_curve, which leaves out the empty ones, and their mean error."""
    edges = np.linspace(0, 1, 16)
    numbers = np.searchsorted(edges[1:-1], confidence)
    images = np.bincount(numbers, minlength=15)
    accuracy, mean = calibration.calibration_curve(right, confidence, n_bins=15)
    assert len(accuracy) == np.count_nonzero(images)
    bins, k = [], 0
    for i in range(15):
        one = {"from": edges[i], "to": edges[i + 1], "images": int(images[i])}
        one |= {"confidence": 0.0, "accuracy": 0.0}
        if images[i]:
            one |= {"confidence": mean[k], "accuracy": accuracy[k]}
            k += 1
        bins.append(one)
    error = np.sum(images[images > 0] / len(right) * np.abs(accuracy - mean))
    return bins, error


def of(case: dict) -> dict:
    rows = np.array(case["rows"], np.float32)
    truth, answer = np.array(case["truth"]), np.array(case["answer"])
    classes = list(range(rows.shape[1]))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, answer, labels=classes, zero_division=0
    )
    matrix = metrics.confusion_matrix(truth, answer, labels=classes)
    confidence = rows[np.arange(len(rows)), answer].astype(np.float64)
    bins, error = reliability((truth == answer).astype(int), confidence)
    if len(classes) == 2:  # here the function takes the second class's score, and a threshold
        topk = metrics.accuracy_score(truth, answer) if case["k"] == 1 else 1.0
    else:
        topk = metrics.top_k_accuracy_score(truth, rows, k=case["k"], labels=classes)
    exact = rows.astype(np.float64)
    clipped = np.clip(exact, EPSILON, 1 - EPSILON)
    return {
        "images": len(rows),
        "top1": metrics.accuracy_score(truth, answer),
        "k": case["k"],
        "topk": topk,
        "macro": averages(truth, answer, "macro"),
        "weighted": averages(truth, answer, "weighted"),
        "calibration": {
            "expected_calibration_error": error,
            "log_loss": metrics.log_loss(truth, clipped, labels=classes),
            "brier": metrics.brier_score_loss(truth, exact, labels=classes),
            "bins": bins,
        },
        "classes": [
            {
                "index": i,
                "precision": precision[i],
                "recall": recall[i],
                "f1": f1[i],
                "support": int(support[i]),
                "answered": int(matrix[:, i].sum()),
                "correct": int(matrix[i, i]),
            }
            for i in classes
        ],
        "confusion": [
            {"truth": i, "answer": j, "images": int(matrix[i, j])}
            for i in classes
            for j in classes
            if matrix[i, j]
        ],
        "log_loss_float32": metrics.log_loss(truth, rows, labels=classes),
    }


with open(sys.argv[1]) as file:
    print(json.dumps([of(case) for case in json.load(file)]))
