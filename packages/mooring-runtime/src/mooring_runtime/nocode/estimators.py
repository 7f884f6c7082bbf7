"""What a fitted scikit-learn estimator tells about itself."""

import numpy

# Beside scikit-learn's own: libraries whose estimators score each row by itself.
ROW_WISE = ("sklearn.", "xgboost.", "lightgbm.")
# These look for a solution over all rows at once, or draw random numbers.
NOT_ROW_WISE = frozenset(
    (
        "BernoulliRBM",
        "DictionaryLearning",
        "IterativeImputer",
        "LatentDirichletAllocation",
        "MiniBatchDictionaryLearning",
        "MiniBatchNMF",
        "MiniBatchSparsePCA",
        "NMF",
        "SparseCoder",
        "SparsePCA",
    )
)


def parts(model):
    """The estimator and all that it is made of."""
    found = [model]
    if hasattr(model, "get_params"):
        found += [value for value in model.get_params(deep=True).values() if hasattr(value, "get_params")]
    return [part for part in found if not isinstance(part, type)]


def names_of(model):
    """The columns' names that it was fitted with; None without names, and before scikit-learn 1.0."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def width_of(model):
    """How many features a row has; None if the model does not say, as those that take texts."""
    width = getattr(model, "n_features_in_", None)
    return width if isinstance(width, (int, numpy.integer)) else None


def takes_arrays(model):
    """Whether it scores an array as it does a table with named columns.

    scikit-learn's own estimators use names only to check them, but for the selection of columns by name.
    """
    return all(
        type(part).__module__.startswith("sklearn.")
        and not own_function(part)
        and not (type(part).__name__ == "ColumnTransformer" and selects_by_name(part))
        for part in parts(model)
    )


def is_row_wise(model):
    """Whether a row's result does not depend on the rows it is scored with."""
    return all(
        (type(part).__module__ + ".").startswith(ROW_WISE)
        and type(part).__name__ not in NOT_ROW_WISE
        and not own_function(part)
        for part in parts(model)
    )


def own_function(part):
    """Whether it calls a function that may do anything with its table."""
    if type(part).__name__ != "FunctionTransformer":
        return False
    return not (part.func is None or isinstance(part.func, numpy.ufunc))


def selects_by_name(transformer):
    """Whether a ``ColumnTransformer`` needs names for its columns, or decides by looking at them."""
    for _, _, columns in transformer.transformers:
        if isinstance(columns, slice):
            values = [columns.start, columns.stop]
        else:
            values = columns if isinstance(columns, (list, tuple, numpy.ndarray)) else [columns]
        if any(isinstance(value, str) or callable(value) for value in values):
            return True
    return False
