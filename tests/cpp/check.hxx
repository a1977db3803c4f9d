// A check that says where it failed and counts, for the unit tests here.
#ifndef HEPML_ROOT_TESTS_CHECK_HXX
#define HEPML_ROOT_TESTS_CHECK_HXX

#include <iostream>

inline int failures = 0;

#define CHECK(condition)                                                                                     \
   do {                                                                                                      \
      if (!(condition)) {                                                                                    \
         ++failures;                                                                                         \
         std::cerr << __FILE__ << ':' << __LINE__ << ": failed: " #condition "\n";                           \
      }                                                                                                      \
   } while (false)

// The statement throws a std::exception whose text holds `part`.
#define CHECK_THROWS(statement, part)                                                                        \
   do {                                                                                                      \
      std::string said = "nothing was thrown";                                                               \
      try {                                                                                                  \
         statement;                                                                                          \
      } catch (const std::exception& error) {                                                                \
         said = error.what();                                                                                \
      }                                                                                                      \
      if (said.find(part) == std::string::npos) {                                                            \
         ++failures;                                                                                         \
         std::cerr << __FILE__ << ':' << __LINE__ << ": '" << said << "' does not say '" << (part) << "'\n"; \
      }                                                                                                      \
   } while (false)

#endif
