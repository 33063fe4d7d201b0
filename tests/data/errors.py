"""`with says(ValueError, text):` expects an error of exactly that type and exactly that text."""
import re
from contextlib import AbstractContextManager

import pytest


def says(error: type[Exception], text: str) -> AbstractContextManager[pytest.ExceptionInfo[Exception]]:
    return pytest.raises(error, match=rf"\A{re.escape(text)}\Z", check=lambda caught: type(caught) is error)
