"""Header and form containers with the methods of Flask's that entry scripts use."""

NOTHING = object()


class RequestHeaders(dict):
    """What ``run(data, request_headers)`` gets: a dict with names as ``Content-Type``, found in any case."""

    def __init__(self, pairs):
        super().__init__()
        for name, value in pairs:
            if "_" in name:
                continue  # as gunicorn does: X_Y must not be taken for X-Y
            key = name.title()
            self[key] = self[key] + "," + value if key in self else value

    def __getitem__(self, name):
        return super().__getitem__(name.title())

    def __contains__(self, name):
        return super().__contains__(name.title())

    def get(self, name, default=None):
        """The value of ``name``, or ``default``."""
        return super().get(name.title(), default)


class Headers:
    """Headers in their order; a name is found in any case and may be there more than once.

    Iterating gives pairs, as with Flask's.
    """

    def __init__(self, pairs=()):
        self._pairs = [(str(name), str(value)) for name, value in pairs]

    def __iter__(self):
        return iter(self._pairs)

    def __len__(self):
        return len(self._pairs)

    def __contains__(self, name):
        return self.get(name, NOTHING) is not NOTHING

    def __getitem__(self, name):
        value = self.get(name, NOTHING)
        if value is NOTHING:
            raise KeyError(name)
        return value

    def __setitem__(self, name, value):
        self.remove(name)
        self.add(name, value)

    def __delitem__(self, name):
        self.remove(name)

    def __str__(self):
        return "\r\n".join("{}: {}".format(*pair) for pair in self._pairs) + "\r\n"

    def __repr__(self):
        return "Headers({!r})".format(self._pairs)

    def get(self, name, default=None, type=None):  # noqa: A002 - Flask's name
        """The first value of ``name``, converted by ``type``."""
        wanted = name.lower()
        for key, value in self._pairs:
            if key.lower() == wanted:
                return _converted(value, type, default)
        return default

    def getlist(self, name, type=None):  # noqa: A002 - Flask's name
        """All values of ``name``."""
        wanted = name.lower()
        found = [value for key, value in self._pairs if key.lower() == wanted]
        return [_converted(value, type, None) for value in found]

    get_all = getlist

    def keys(self):
        """The names."""
        return [name for name, _ in self._pairs]

    def values(self):
        """The values."""
        return [value for _, value in self._pairs]

    def items(self, lower=False):
        """The pairs; names in lower case if wished."""
        return [(name.lower() if lower else name, value) for name, value in self._pairs]

    def add(self, name, value, **parameters):
        """Adds a value; parameters are written behind it.

        Raises:
            ValueError: the value has a line break.
        """
        value = str(value) + "".join('; {}="{}"'.format(*pair) for pair in parameters.items())
        if "\n" in value or "\r" in value:
            raise ValueError("Header values must not contain newline characters.")
        self._pairs.append((str(name), value))

    add_header = add

    def set(self, name, value, **parameters):
        """Replaces all values of ``name``."""
        self.remove(name)
        self.add(name, value, **parameters)

    def setdefault(self, name, default):
        """The value of ``name``, which is ``default`` from now on if it had none."""
        if name not in self:
            self.add(name, default)
        return self[name]

    def remove(self, name):
        """Removes all values of ``name``."""
        wanted = name.lower()
        self._pairs = [pair for pair in self._pairs if pair[0].lower() != wanted]

    def pop(self, name, default=NOTHING):
        """Removes ``name`` and returns its value."""
        value = self.get(name, default)
        if value is NOTHING:
            raise KeyError(name)
        self.remove(name)
        return value

    def extend(self, *others, **more):
        """Adds headers of mappings or pairs."""
        for other in (*others, more):
            for name, value in other.items() if hasattr(other, "items") else other:
                self.add(name, value)

    def update(self, *others, **more):
        """Sets headers of mappings or pairs."""
        for other in (*others, more):
            for name, value in other.items() if hasattr(other, "items") else other:
                self[name] = value

    def clear(self):
        """Removes all."""
        self._pairs = []

    def to_wsgi_list(self):
        """The pairs."""
        return list(self._pairs)


class MultiDict(dict):
    """A dict of the first value of each key; `getlist` gives all."""

    def __init__(self, pairs=()):
        self._lists = {}
        for key, value in pairs:
            self._lists.setdefault(key, []).append(value)
        super().__init__((key, values[0]) for key, values in self._lists.items())

    def get(self, key, default=None, type=None):  # noqa: A002 - Flask's name
        """The first value of ``key``, converted by ``type``; ``default`` if there is none or it does not convert."""
        return _converted(self[key], type, default) if key in self else default

    def getlist(self, key, type=None):  # noqa: A002 - Flask's name
        """All values of ``key``; without those that ``type`` refuses."""
        found = [_converted(value, type, NOTHING) for value in self._lists.get(key, ())]
        return [value for value in found if value is not NOTHING]

    def items(self, multi=False):
        """Keys with their first value, or with all."""
        if not multi:
            return super().items()
        return [(key, value) for key, values in self._lists.items() for value in values]

    def lists(self):
        """Keys with the list of their values."""
        return [(key, list(values)) for key, values in self._lists.items()]

    def listvalues(self):
        """The lists of values."""
        return [list(values) for values in self._lists.values()]

    def to_dict(self, flat=True):
        """A plain dict of first values, or of lists."""
        return dict(self) if flat else dict(self.lists())


def _converted(value, kind, default):
    if kind is None:
        return value
    try:
        return kind(value)
    except (ValueError, TypeError):
        return default
