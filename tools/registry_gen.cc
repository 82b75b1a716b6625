/* Writes core/registry.c's tables from DCMTK's UID registry: run by the build, prints C to stdout.
 *
 * The only program here that sees dcmtk/. Rows of core/registry_extra.def win over DCMTK's rows of
 * the same UID; a UID that is both a SOP class and a transfer syntax, or a name that could break a C
 * string, stops the build.
 * SPDX-License-Identifier: Apache-2.0 */
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "dcmtk/config/osconfig.h"
#include "dcmtk/dcmdata/dcuid.h"
#include "dcmtk/dcmdata/dcxfer.h"

namespace
{

enum flag { NONE = 0, EXPLICIT = 1, BIG = 2, ENCAPSULATED = 4, DEFLATED = 8, RETIRED = 16 };

struct sop {
	std::string name, modality, kind;
	int flags;
};

struct ts {
	std::string name, rank;
	int flags;
};

/* Sorted by UID as strcmp() sorts: std::string compares bytes. */
using sops = std::map<std::string, sop>;
using tss = std::map<std::string, ts>;

/* DCMTK's services that are not storage. Named so that they can be refused by name, and so that no
 * switch for unknown classes lets them in. */
struct service {
	const char *uid, *kind;
};

const service services[] = {
	{UID_VerificationSOPClass, "VERIFICATION"},
	{UID_FINDPatientRootQueryRetrieveInformationModel, "FIND"},
	{UID_MOVEPatientRootQueryRetrieveInformationModel, "MOVE"},
	{UID_GETPatientRootQueryRetrieveInformationModel, "GET"},
	{UID_FINDStudyRootQueryRetrieveInformationModel, "FIND"},
	{UID_MOVEStudyRootQueryRetrieveInformationModel, "MOVE"},
	{UID_GETStudyRootQueryRetrieveInformationModel, "GET"},
	{UID_RETIRED_FINDPatientStudyOnlyQueryRetrieveInformationModel, "FIND"},
	{UID_RETIRED_MOVEPatientStudyOnlyQueryRetrieveInformationModel, "MOVE"},
	{UID_RETIRED_GETPatientStudyOnlyQueryRetrieveInformationModel, "GET"},
	{UID_MOVECompositeInstanceRootRetrieve, "MOVE"},
	{UID_GETCompositeInstanceRootRetrieve, "GET"},
	{UID_GETCompositeInstanceRetrieveWithoutBulkData, "GET"},
	{UID_StorageCommitmentPushModelSOPClass, "COMMITMENT"},
	{UID_RETIRED_StorageCommitmentPullModelSOPClass, "OTHER"},
	/* Media: a DICOMDIR is a file, never sent. */
	{UID_MediaStorageDirectoryStorage, "OTHER"},
	{UID_MediaCreationManagementSOPClass, "OTHER"},
	/* Models of objects without a patient. */
	{UID_FINDHangingProtocolInformationModel, "FIND"},
	{UID_MOVEHangingProtocolInformationModel, "MOVE"},
	{UID_FINDColorPaletteInformationModel, "FIND"},
	{UID_MOVEColorPaletteInformationModel, "MOVE"},
	{UID_GETColorPaletteInformationModel, "GET"},
	{UID_FINDGenericImplantTemplateInformationModel, "FIND"},
	{UID_MOVEGenericImplantTemplateInformationModel, "MOVE"},
	{UID_GETGenericImplantTemplateInformationModel, "GET"},
	{UID_FINDImplantAssemblyTemplateInformationModel, "FIND"},
	{UID_MOVEImplantAssemblyTemplateInformationModel, "MOVE"},
	{UID_GETImplantAssemblyTemplateInformationModel, "GET"},
	{UID_FINDImplantTemplateGroupInformationModel, "FIND"},
	{UID_MOVEImplantTemplateGroupInformationModel, "MOVE"},
	{UID_GETImplantTemplateGroupInformationModel, "GET"},
	{UID_FINDDefinedProcedureProtocolInformationModel, "FIND"},
	{UID_MOVEDefinedProcedureProtocolInformationModel, "MOVE"},
	{UID_GETDefinedProcedureProtocolInformationModel, "GET"},
	{UID_FINDProtocolApprovalInformationModel, "FIND"},
	{UID_MOVEProtocolApprovalInformationModel, "MOVE"},
	{UID_GETProtocolApprovalInformationModel, "GET"},
	/* Worklists, procedure steps, relevant patient information. */
	{UID_FINDModalityWorklistInformationModel, "FIND"},
	{UID_RETIRED_FINDGeneralPurposeWorklistInformationModel, "FIND"},
	{UID_RETIRED_GeneralPurposeScheduledProcedureStepSOPClass, "OTHER"},
	{UID_RETIRED_GeneralPurposePerformedProcedureStepSOPClass, "OTHER"},
	{UID_RETIRED_GeneralPurposeWorklistManagementMetaSOPClass, "OTHER"},
	{UID_ModalityPerformedProcedureStepSOPClass, "OTHER"},
	{UID_ModalityPerformedProcedureStepRetrieveSOPClass, "OTHER"},
	{UID_ModalityPerformedProcedureStepNotificationSOPClass, "OTHER"},
	{UID_RTConventionalMachineVerification, "OTHER"},
	{UID_RTIonMachineVerification, "OTHER"},
	{UID_UnifiedWorklistAndProcedureStepServiceClass, "OTHER"},
	{UID_UnifiedProcedureStepPushSOPClass, "OTHER"},
	{UID_UnifiedProcedureStepWatchSOPClass, "OTHER"},
	{UID_UnifiedProcedureStepPullSOPClass, "OTHER"},
	{UID_UnifiedProcedureStepEventSOPClass, "OTHER"},
	{UID_UnifiedProcedureStepQuerySOPClass, "OTHER"},
	{UID_DRAFT_RTConventionalMachineVerification, "OTHER"},
	{UID_DRAFT_RTIonMachineVerification, "OTHER"},
	{UID_DRAFT_UnifiedWorklistAndProcedureStepServiceClass, "OTHER"},
	{UID_DRAFT_UnifiedProcedureStepPushSOPClass, "OTHER"},
	{UID_DRAFT_UnifiedProcedureStepWatchSOPClass, "OTHER"},
	{UID_DRAFT_UnifiedProcedureStepPullSOPClass, "OTHER"},
	{UID_DRAFT_UnifiedProcedureStepEventSOPClass, "OTHER"},
	{UID_GeneralRelevantPatientInformationQuery, "FIND"},
	{UID_BreastImagingRelevantPatientInformationQuery, "FIND"},
	{UID_CardiacRelevantPatientInformationQuery, "FIND"},
	{UID_ProductCharacteristicsQuerySOPClass, "FIND"},
	{UID_SubstanceApprovalQuerySOPClass, "FIND"},
	{UID_InstanceAvailabilityNotificationSOPClass, "OTHER"},
	{UID_ProceduralEventLoggingSOPClass, "OTHER"},
	{UID_SubstanceAdministrationLoggingSOPClass, "OTHER"},
	{UID_DisplaySystemSOPClass, "OTHER"},
	{UID_StorageServiceClass, "OTHER"},
	/* Print. */
	{UID_BasicFilmSessionSOPClass, "OTHER"},
	{UID_BasicFilmBoxSOPClass, "OTHER"},
	{UID_BasicGrayscaleImageBoxSOPClass, "OTHER"},
	{UID_BasicColorImageBoxSOPClass, "OTHER"},
	{UID_RETIRED_ReferencedImageBoxSOPClass, "OTHER"},
	{UID_BasicGrayscalePrintManagementMetaSOPClass, "OTHER"},
	{UID_RETIRED_ReferencedGrayscalePrintManagementMetaSOPClass, "OTHER"},
	{UID_PrintJobSOPClass, "OTHER"},
	{UID_BasicAnnotationBoxSOPClass, "OTHER"},
	{UID_PrinterSOPClass, "OTHER"},
	{UID_PrinterConfigurationRetrievalSOPClass, "OTHER"},
	{UID_BasicColorPrintManagementMetaSOPClass, "OTHER"},
	{UID_RETIRED_ReferencedColorPrintManagementMetaSOPClass, "OTHER"},
	{UID_VOILUTBoxSOPClass, "OTHER"},
	{UID_PresentationLUTSOPClass, "OTHER"},
	{UID_RETIRED_ImageOverlayBoxSOPClass, "OTHER"},
	{UID_RETIRED_BasicPrintImageOverlayBoxSOPClass, "OTHER"},
	{UID_RETIRED_PrintQueueManagementSOPClass, "OTHER"},
	{UID_RETIRED_PullPrintRequestSOPClass, "OTHER"},
	{UID_RETIRED_PullStoredPrintManagementMetaSOPClass, "OTHER"},
	/* Detached management, all retired. */
	{UID_RETIRED_DetachedPatientManagementSOPClass, "OTHER"},
	{UID_RETIRED_DetachedPatientManagementMetaSOPClass, "OTHER"},
	{UID_RETIRED_DetachedVisitManagementSOPClass, "OTHER"},
	{UID_RETIRED_DetachedStudyManagementSOPClass, "OTHER"},
	{UID_RETIRED_DetachedResultsManagementSOPClass, "OTHER"},
	{UID_RETIRED_DetachedResultsManagementMetaSOPClass, "OTHER"},
	{UID_RETIRED_DetachedStudyManagementMetaSOPClass, "OTHER"},
	{UID_RETIRED_DetachedInterpretationManagementSOPClass, "OTHER"},
	{UID_RETIRED_StudyComponentManagementSOPClass, "OTHER"},
	{UID_RETIRED_BasicStudyContentNotificationSOPClass, "OTHER"},
	/* Real-time communication runs over RTP. */
	{UID_VideoEndoscopicImageRealTimeCommunication, "OTHER"},
	{UID_VideoPhotographicImageRealTimeCommunication, "OTHER"},
	{UID_AudioWaveformRealTimeCommunication, "OTHER"},
	{UID_RenditionSelectionDocumentRealTimeCommunication, "OTHER"},
};

/* Storage classes that dcmAllStorageSOPClassUIDs leaves out: objects without a patient. */
const char *const storage_without_patient[] = {
	UID_CTDefinedProcedureProtocolStorage,
	UID_XADefinedProcedureProtocolStorage,
	UID_ProtocolApprovalStorage,
	UID_HangingProtocolStorage,
	UID_ColorPaletteStorage,
	UID_GenericImplantTemplateStorage,
	UID_ImplantAssemblyTemplateStorage,
	UID_ImplantTemplateGroupStorage,
};

/* Words that a capital letter alone does not find ('_' becomes a space). */
struct spelling {
	const char *keyword, *words;
};

const spelling spellings[] = {
	{"ForPresentation", "_-_For_Presentation"},
	{"ForProcessing", "_-_For_Processing"},
	{"XAXRF", "XA/XRF_"},
	{"XRay", "X-Ray_"},
	{"CArm", "C-Arm_"},
	{"PhotonElectron", "Photon-Electron"},
	{"RoboticArm", "Robotic-Arm"},
	{"SlideCoordinates", "Slide-Coordinates"},
	{"PseudoColor", "Pseudo-Color"},
	{"IntraOral", "Intra-Oral"},
	{"BiPlane", "Bi-Plane"},
	{"Bscan", "B-scan"},
	{"Multiframe", "Multi-frame"},
	{"Multichannel", "Multi-channel"},
	{"TwelveLead", "12-lead_"},
	{"CADSR", "CAD_SR_"},
	{"VOILUT", "VOI_LUT_"},
	{"16Bit", "_16_Bit_"},
	{"8Bit", "_8_Bit_"},
	{"2DAIT", "2D_AIT_"},
	{"3D", "_3D_"},
	{"QueryRetrieve", "Query/Retrieve"},
	{"RealTime", "Real-Time"},
	{"AndVolume", "_and_Volume"},
	{"AndProcedure", "_and_Procedure"},
};

bool take_prefix(std::string &s, const char *prefix)
{
	if (s.compare(0, strlen(prefix), prefix) != 0)
		return false;
	s.erase(0, strlen(prefix));
	return true;
}

void take_suffix(std::string &s, const char *suffix)
{
	size_t n = strlen(suffix);
	if (s.size() > n && s.compare(s.size() - n, n, suffix) == 0)
		s.erase(s.size() - n);
}

/* "CTImageStorage" -> "CT Image Storage": a space before a capital that begins a word. */
std::string spaced(const std::string &keyword)
{
	std::string out;
	for (size_t i = 0; i < keyword.size(); i++) {
		auto upper = [&](size_t k) {
			return k < keyword.size() && isupper((unsigned char)keyword[k]);
		};
		auto lower = [&](size_t k) {
			return k < keyword.size() && islower((unsigned char)keyword[k]);
		};
		bool begins = i > 0 && upper(i) && (lower(i - 1) || (upper(i - 1) && lower(i + 1)));
		char c = keyword[i] == '_' ? ' ' : keyword[i];
		if (begins)
			out += ' ';
		if (c != ' ' || (!out.empty() && out.back() != ' '))
			out += c;
	}
	while (!out.empty() && out.back() == ' ')
		out.pop_back();
	return out;
}

/* DCMTK's keyword as PS3.6 spells the name. Sets *retired. */
std::string name_of(std::string keyword, bool *retired)
{
	std::string tail;
	*retired = take_prefix(keyword, "RETIRED_");
	if (take_prefix(keyword, "DRAFT_")) {
		*retired = true;
		tail = " - Trial";
	}
	for (const char *verb : {"FIND", "MOVE", "GET"})
		if (take_prefix(keyword, verb))
			tail = std::string(" - ") + verb;
	take_suffix(keyword, "SOPClass");
	for (const spelling &s : spellings) {
		size_t at = keyword.find(s.keyword);
		if (at != std::string::npos)
			keyword.replace(at, strlen(s.keyword), s.words);
	}
	return spaced(keyword) + tail;
}

void add_sop(sops &out, const char *uid, const char *kind)
{
	bool retired;
	const char *keyword = dcmFindNameOfUID(uid);
	if (keyword == nullptr) {
		fprintf(stderr, "registry_gen: DCMTK has no name for %s\n", uid);
		exit(1);
	}
	const char *modality = dcmSOPClassUIDToModality(uid, "");
	std::string name = name_of(keyword, &retired);
	out[uid] = sop{name, modality, kind, retired ? RETIRED : NONE};
}

sops collect_sops()
{
	sops out;
	for (int i = 0; i < numberOfDcmAllStorageSOPClassUIDs; i++)
		add_sop(out, dcmAllStorageSOPClassUIDs[i], "STORAGE");
	for (const char *uid : storage_without_patient)
		add_sop(out, uid, "STORAGE");
	for (const service &s : services)
		add_sop(out, s.uid, s.kind);
#define EXTRA_SOP(uid, name, modality, kind, flags) out[uid] = sop{name, modality, #kind, flags};
#define EXTRA_TS(uid, name, rank, flags)
#include "../core/registry_extra.def"
#undef EXTRA_SOP
#undef EXTRA_TS
	return out;
}

const char *rank_of(const DcmXfer &x)
{
	if (x.isReferenced())
		return "REFERENCED";
	if (x.getStreamCompression() != ESC_none)
		return "DEFLATED";
	if (x.isEncapsulated())
		return x.isLossy() ? "LOSSY" : "LOSSLESS";
	if (x.isBigEndian() || x.getPixelDataByteOrder() == EBO_BigEndian)
		return "BIG_ENDIAN";
	return x.isExplicitVR() ? "EXPLICIT_LE" : "IMPLICIT_LE";
}

tss collect_tss()
{
	tss out;
	/* The enum has no end marker; 256 is far beyond, and DcmXfer answers "unknown" there. */
	for (int i = 0; i < 256; i++) {
		DcmXfer x(static_cast<E_TransferSyntax>(i));
		if (x.getXfer() == EXS_Unknown || x.getXferID()[0] == '\0')
			continue;
		int flags = (x.isExplicitVR() ? EXPLICIT : 0) | (x.isBigEndian() ? BIG : 0) |
			    (x.isEncapsulated() ? ENCAPSULATED : 0) |
			    (x.getStreamCompression() != ESC_none ? DEFLATED : 0) |
			    (x.isRetired() ? RETIRED : 0);
		out[x.getXferID()] = ts{x.getXferName(), rank_of(x), flags};
	}
#define EXTRA_SOP(uid, name, modality, kind, flags)
#define EXTRA_TS(uid, name, rank, flags) out[uid] = ts{name, #rank, flags};
#include "../core/registry_extra.def"
#undef EXTRA_SOP
#undef EXTRA_TS
	return out;
}

/* A C string literal; exits on what would need escaping. */
std::string quoted(const std::string &s)
{
	for (char c : s)
		if (c == '"' || c == '\\' || !isprint((unsigned char)c)) {
			fprintf(stderr, "registry_gen: cannot print \"%s\"\n", s.c_str());
			exit(1);
		}
	return '"' + s + '"';
}

const char *truth(int flags, int bit)
{
	return (flags & bit) != 0 ? "true" : "false";
}

} // namespace

int main()
{
	sops classes = collect_sops();
	tss syntaxes = collect_tss();
	printf("/* Written by tools/registry_gen.cc from DCMTK's registry; not to be edited. */\n"
	       "static const struct sl_sop_row sop_rows[] = {\n");
	for (const auto &[uid, row] : classes) {
		if (syntaxes.count(uid) != 0) {
			fprintf(stderr, "registry_gen: %s is in both tables\n", uid.c_str());
			return 1;
		}
		printf("\t{%s, %s, %s, SL_SOP_%s, %s},\n", quoted(uid).c_str(),
			quoted(row.name).c_str(), quoted(row.modality).c_str(), row.kind.c_str(),
			truth(row.flags, RETIRED));
	}
	printf("};\n\nstatic const struct sl_ts_row ts_rows[] = {\n");
	for (const auto &[uid, row] : syntaxes)
		printf("\t{%s, %s, SL_TS_%s, %s, %s, %s, %s, %s},\n", quoted(uid).c_str(),
			quoted(row.name).c_str(), row.rank.c_str(), truth(row.flags, EXPLICIT),
			truth(row.flags, BIG), truth(row.flags, ENCAPSULATED),
			truth(row.flags, DEFLATED), truth(row.flags, RETIRED));
	printf("};\n");
	return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : 1;
}
