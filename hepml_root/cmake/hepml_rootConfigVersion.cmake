# The version is that of the Python package this file lies in; an installation by CMake writes its own.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../__init__.py" _hepml_root_line REGEX "^__version__ = ")
string(REGEX MATCH "[0-9][0-9.]*" PACKAGE_VERSION "${_hepml_root_line}")
unset(_hepml_root_line)

string(REGEX MATCH "^[0-9]+\\.[0-9]+" _hepml_root_has "${PACKAGE_VERSION}")
string(REGEX MATCH "^[0-9]+(\\.[0-9]+)?" _hepml_root_asked "${PACKAGE_FIND_VERSION}")
# Before 1.0 any minor version may change the interface.
if(PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION
   AND (NOT PACKAGE_FIND_VERSION OR _hepml_root_has VERSION_EQUAL _hepml_root_asked))
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
else()
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
endif()
unset(_hepml_root_has)
unset(_hepml_root_asked)
