"""What scikit-learn says of sets of labels and of numbers, each case of a file of JSON, as JSON."""

import json
import sys
import warnings

import numpy as np
from sklearn import metrics

warnings.simplefilter("ignore")  # of classes that no image has, and of r2 of one image


def scores(truth: np.ndarray, answer: np.ndarray, average: str) -> dict:
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, answer, average=average, zero_division=0
    )
    return {"precision": precision, "recall": recall, "f1": f1}


def of_sets(case: dict) -> dict:
    rows = np.array(case["rows"], np.float32)
    truth, answer = np.array(case["truth"], int), np.array(case["answer"], int)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, answer, average=None, zero_division=0
    )
    average = [metrics.average_precision_score(truth[:, i], rows[:, i]) for i in range(len(f1))]
    return {
        "images": len(rows),
        "subset_accuracy": metrics.accuracy_score(truth, answer),
        "hamming_loss": metrics.hamming_loss(truth, answer),
        "micro": scores(truth, answer, "micro"),
        "macro": scores(truth, answer, "macro"),
        "weighted": scores(truth, answer, "weighted"),
        "micro_average_precision": metrics.average_precision_score(truth, rows, average="micro"),
        "macro_average_precision": metrics.average_precision_score(truth, rows, average="macro"),
        "classes": [
            {
                "index": i,
                "precision": precision[i],
                "recall": recall[i],
                "f1": f1[i],
                "support": int(support[i]),
                "answered": int(answer[:, i].sum()),
                "correct": int((answer[:, i] & truth[:, i]).sum()),
                "average_precision": average[i],
            }
            for i in range(len(f1))
        ],
    }


def of_numbers(case: dict) -> dict:
    got, truth = np.array(case["got"], np.float32).astype(float), np.array(case["truth"], float)

    def errors(truth: np.ndarray, got: np.ndarray) -> dict:
        r2 = metrics.r2_score(truth, got)
        return {
            "mae": metrics.mean_absolute_error(truth, got),
            "rmse": metrics.root_mean_squared_error(truth, got),
            "r2": None if np.isnan(r2) else r2,
        }

    values = [{"index": i} | errors(truth[:, i], got[:, i]) for i in range(truth.shape[1])]
    return {"images": len(got)} | errors(truth, got) | {"values": values}


with open(sys.argv[1]) as file:
    cases = json.load(file)
made = {"sets": [of_sets(x) for x in cases["sets"]]}
print(json.dumps(made | {"numbers": [of_numbers(x) for x in cases["numbers"]]}))
