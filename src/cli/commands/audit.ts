import { group } from "../command.ts";

export const audit = group({
  name: "audit",
  about: "Audits: what an attacker finds out in practice, as a lower bound beside the upper one that is claimed.",
  commands: {
    membership: {
      about: "whether somebody can tell who a finished model was trained on",
      load: () => import("./audit-membership.ts").then((m) => m.auditMembershipCommand),
    },
  },
  examples: [
    "leadglass audit membership --run runs/private --cohort masses",
    "leadglass audit membership --run runs/private --cohort masses --attack lira --shadows 32",
  ],
});
