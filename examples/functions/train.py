"""Trains a ridge regression on scikit-learn's diabetes data and writes model.pkl."""
import joblib
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)

model = Ridge(alpha=0.4)
model.fit(X_train, y_train)
print("R2 on the test set:", round(model.score(X_test, y_test), 3))

joblib.dump(model, "model.pkl")
