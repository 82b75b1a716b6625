/* Who we say we are: in associations (PS3.7 D.3.3.2) and in files (PS3.10 7.1).
 *
 * UIDs below 2.25 are made from a UUID and need no registration (PS3.5 B.2). They name this
 * implementation and its private header layout for ever: never change them, also not with the version.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define SL_IMPL_CLASS_UID      "2.25.181989684041851018118297667048007646618"
#define SL_IMPL_VERSION_NAME   "SLUICE_0_1_0" /* 1-16 characters */
#define SL_PRIVATE_CREATOR_UID "2.25.170476167290490420418056036540057466583"
