// All of TMVA's names that are provided here, for programs that include none of its headers, as ROOT knows
// them by itself where it has TMVA:
//
//    export ROOT_INCLUDE_PATH=$(hepml-root config --tmva-include-dir)
//    root -l -e '#include "tmva.h"' macro.C

#ifndef HEPML_ROOT_TMVA_SHIM_ALL
#define HEPML_ROOT_TMVA_SHIM_ALL

#include "TMVA/Config.h"
#include "TMVA/CrossValidation.h"
#include "TMVA/DataLoader.h"
#include "TMVA/Factory.h"
#include "TMVA/MethodCategory.h"
#include "TMVA/MethodCuts.h"
#include "TMVA/PyMethodBase.h"
#include "TMVA/Reader.h"
#include "TMVA/RReader.hxx"
#include "TMVA/RTensor.hxx"
#include "TMVA/SOFIEHelpers.hxx"
#include "TMVA/TMVAGui.h"
#include "TMVA/TMVAMultiClassGui.h"
#include "TMVA/TMVARegGui.h"
#include "TMVA/Tools.h"

#endif
