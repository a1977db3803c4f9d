# find_package(hepml_root): the C++ headers, and models as libraries.
#
#    find_package(hepml_root REQUIRED)     # cmake -Dhepml_root_DIR=$(hepml-root config --cmake-dir)
#
#    target_link_libraries(analysis PRIVATE hepml_root::headers)     # hepml_root/manifest.hxx, hepml_root/rdf/...
#
#    hepml_root_add_model(higgs higgs.onnx)                          # library and header, made when building
#    target_link_libraries(analysis PRIVATE higgs)                   # #include "higgs_library.hxx" or "higgs.hxx"
#
#    hepml_root_add_model(higgs higgs.onnx PORTABLE)                 # for machines with other processors, too

cmake_minimum_required(VERSION 3.18)

if(NOT TARGET hepml_root::headers)
  # Beside this folder in the Python package, three levels up where it was installed by CMake.
  foreach(_hepml_root_candidate "${CMAKE_CURRENT_LIST_DIR}/../include" "${CMAKE_CURRENT_LIST_DIR}/../../../include")
    if(EXISTS "${_hepml_root_candidate}/hepml_root/manifest.hxx")
      get_filename_component(hepml_root_INCLUDE_DIR "${_hepml_root_candidate}" ABSOLUTE)
      break()
    endif()
  endforeach()
  unset(_hepml_root_candidate)
  if(NOT hepml_root_INCLUDE_DIR)
    set(hepml_root_FOUND FALSE)
    set(hepml_root_NOT_FOUND_MESSAGE "the headers of hepml_root are not beside ${CMAKE_CURRENT_LIST_DIR}")
    return()
  endif()
  add_library(hepml_root::headers INTERFACE IMPORTED)
  set_target_properties(hepml_root::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${hepml_root_INCLUDE_DIR}")
  target_compile_features(hepml_root::headers INTERFACE cxx_std_17)
endif()

set(HEPML_ROOT_ARCHITECTURE "-march=native" CACHE STRING
  "Compiler option for the processor that models are compiled for; -march=x86-64-v3 runs on any since 2013")
set(_hepml_root_cmake_dir "${CMAKE_CURRENT_LIST_DIR}")

# hepml_root_add_model(<target> <model.onnx> [PORTABLE])
#
# Adds a shared library <target> that scores events with the model. Sources that link to it can include
#   <target>.hxx           namespace TMVA_SOFIE_<target> { struct Session; }, the network itself, to be inlined
#   <target>_library.hxx   <target>_infer() and <target>_manifest(), compiled once in the library
# Both are made when building, and again when the model changes, by the command hepml-root.
#
# The library is compiled for HEPML_ROOT_ARCHITECTURE: by default for the machine that builds it, and others may
# stop with "Illegal instruction". A PORTABLE one holds the network for AVX-512, for AVX2 and for any processor,
# and chooses when it is loaded. Code that includes <target>.hxx is compiled as the caller says.
function(hepml_root_add_model target model)
  cmake_parse_arguments(PARSE_ARGV 2 asked "PORTABLE" "" "")
  if(asked_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "hepml_root_add_model: unknown argument '${asked_UNPARSED_ARGUMENTS}'; it takes a target, a "
      "model and PORTABLE.")
  endif()
  if(NOT "${target}" MATCHES "^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$")
    message(FATAL_ERROR "hepml_root_add_model: the target '${target}' names C++ functions: letters, digits, "
      "single underscores.")
  endif()
  get_filename_component(model "${model}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  if(NOT EXISTS "${model}")
    message(FATAL_ERROR "hepml_root_add_model: there is no model file '${model}'.")
  endif()
  _hepml_root_find_command()
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/hepml_root/${target}")
  file(MAKE_DIRECTORY "${folder}")
  set(HEPML_ROOT_MODEL "${target}")
  configure_file("${_hepml_root_cmake_dir}/model_library.cxx.in" "${folder}/${target}_library.cxx" @ONLY)
  configure_file("${_hepml_root_cmake_dir}/model_library.hxx.in" "${folder}/${target}_library.hxx" @ONLY)
  add_custom_command(
    OUTPUT "${folder}/${target}.hxx"
    COMMAND ${HEPML_ROOT_COMMAND} compile "${model}" -o "${folder}/${target}.hxx" --overwrite
    DEPENDS "${model}"
    COMMENT "Generating ${target}.hxx from ${model}"
    VERBATIM)
  add_custom_target(${target}_header DEPENDS "${folder}/${target}.hxx")
  set(kernels "")
  set(architecture ${HEPML_ROOT_ARCHITECTURE})
  if(asked_PORTABLE)
    set(architecture "")
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      set(kernels avx512 avx2)
    endif()
  endif()
  set(avx2_options -mavx2 -mfma)
  set(avx512_options -mavx512f -mavx512vl -mavx512dq -mavx512bw ${avx2_options})
  set(objects "")
  foreach(kernel IN LISTS kernels)
    add_library(${target}_${kernel} OBJECT "${folder}/${target}_library.cxx")
    _hepml_root_compile(${target}_${kernel} ${target} "${folder}" ${${kernel}_options})
    target_compile_definitions(${target}_${kernel} PRIVATE HEPML_ROOT_KERNEL=${target}_infer_${kernel})
    list(APPEND objects $<TARGET_OBJECTS:${target}_${kernel}>)
  endforeach()
  # The object for any processor first: of a function that several objects have, such as one of the standard
  # library, the linker keeps the first, and that one runs everywhere.
  add_library(${target} SHARED "${folder}/${target}_library.cxx" ${objects})
  # It calls its own functions, whatever others of their names are in the process.
  if(NOT APPLE)
    target_link_options(${target} PRIVATE "LINKER:-Bsymbolic")
  endif()
  _hepml_root_compile(${target} ${target} "${folder}" ${architecture})
  if(kernels)
    target_compile_definitions(${target} PRIVATE HEPML_ROOT_PORTABLE)
  endif()
  target_include_directories(${target} PUBLIC "${folder}")
  target_compile_features(${target} PUBLIC cxx_std_17)
endfunction()

# How the sources of a model are compiled, with further options.
function(_hepml_root_compile object target folder)
  add_dependencies(${object} ${target}_header)
  target_include_directories(${object} PRIVATE "${folder}")
  target_compile_features(${object} PRIVATE cxx_std_17)
  # A program may hold the same network compiled for another processor: nothing but its functions is visible.
  set_target_properties(${object} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN TRUE
    POSITION_INDEPENDENT_CODE TRUE)
  # The engine is written for these; a debug build of the caller does not make the network slow.
  target_compile_options(${object} PRIVATE -O3 ${ARGN} -ffp-contract=fast -fno-math-errno -fno-trapping-math)
endfunction()

# Sets HEPML_ROOT_COMMAND: the program hepml-root, or the Python module.
macro(_hepml_root_find_command)
  if(NOT HEPML_ROOT_COMMAND)
    # The package's own environment first: <environment>/lib/python3.x/site-packages/hepml_root/cmake.
    find_program(HEPML_ROOT_PROGRAM hepml-root
      HINTS "${_hepml_root_cmake_dir}/../../../../../bin" "${_hepml_root_cmake_dir}/../../.venv/bin")
    if(HEPML_ROOT_PROGRAM)
      set(HEPML_ROOT_COMMAND "${HEPML_ROOT_PROGRAM}")
    else()
      find_package(Python3 REQUIRED COMPONENTS Interpreter)
      execute_process(COMMAND "${Python3_EXECUTABLE}" -c "import hepml_root" RESULT_VARIABLE _hepml_root_missing
        OUTPUT_QUIET ERROR_QUIET)
      if(_hepml_root_missing)
        message(FATAL_ERROR "hepml_root_add_model needs the command hepml-root: activate the Python environment that "
          "hepml_root is installed in, or set -DHEPML_ROOT_PROGRAM=/path/to/bin/hepml-root.")
      endif()
      set(HEPML_ROOT_COMMAND "${Python3_EXECUTABLE}" -m hepml_root)
    endif()
  endif()
endmacro()
