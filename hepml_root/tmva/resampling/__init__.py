"""Methods trained many times: cross validation, searches of settings, importance of variables."""
