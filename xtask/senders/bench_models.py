"""The models of `cargo xtask bench inference`, trained on iris: files of skops, and one as MLflow saves it.

usage: bench_models.py FOLDER"""
import sys

import mlflow, skops.io
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

rows, classes = load_iris(return_X_y=True)
logistic = LogisticRegression(max_iter=500).fit(rows, classes)
skops.io.dump(logistic, f"{sys.argv[1]}/logistic.skops")
skops.io.dump(RandomForestClassifier(100, random_state=1).fit(rows, classes), f"{sys.argv[1]}/forest.skops")
mlflow.sklearn.save_model(logistic, f"{sys.argv[1]}/mlflow-logistic")
