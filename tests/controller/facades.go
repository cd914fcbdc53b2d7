package controller

// background are the calls that go on in an idle agent.
var background = map[string]bool{
	"Next": true, "Stop": true, "ClaimLeadership": true, "BlockUntilLeadershipReleased": true,
}

// facades are the API methods that unit agents use, in Juju 2.9 to 3.6.
var facades = map[string]handler{
	"NotifyWatcher.Next":         nextChange,
	"NotifyWatcher.Stop":         stopWatcher,
	"StringsWatcher.Next":        nextChange,
	"StringsWatcher.Stop":        stopWatcher,
	"RelationUnitsWatcher.Next":  nextChange,
	"RelationUnitsWatcher.Stop":  stopWatcher,
	"SecretsTriggerWatcher.Next": nextChange,
	"SecretsTriggerWatcher.Stop": stopWatcher,

	"LeadershipService.ClaimLeadership":              claimLeadership,
	"LeadershipService.BlockUntilLeadershipReleased": blockUntilReleased,

	"PayloadsHookContext.List":    noResults,
	"RetryStrategy.RetryStrategy": retryStrategy,
	"Deployer.Remove":             removeDead,

	// Of the lab itself: hook reports and "run update-status now".
	"Lab.Event":             agentEvent,
	"Lab.WatchUpdateStatus": watchUpdateStatus,

	"SecretsManager.WatchConsumedSecretsChanges":       watchConsumedSecrets,
	"SecretsManager.GetConsumerSecretsRevisionInfo":    consumedSecrets,
	"SecretsManager.GetSecretContentInfo":              getSecretContent,
	"SecretsManager.GetSecretMetadata":                 noResults,
	"SecretsManager.WatchObsolete":                     watchNothingOne,
	"SecretsManager.WatchSecretsRotationChanges":       watchNothingOne,
	"SecretsManager.WatchSecretRevisionsExpiryChanges": watchNothingOne,

	"Uniter.CurrentModel":               currentModel,
	"Uniter.ModelConfig":                modelConfig,
	"Uniter.WatchForModelConfigChanges": watchModelConfig,
	"Uniter.APIAddresses":               constant(map[string]any{"result": []string{"127.0.0.1:17070"}}),
	"Uniter.SLALevel":                   constant(map[string]any{"result": "unsupported"}),
	"Uniter.CloudAPIVersion":            constant(map[string]any{"result": ""}),
	"Uniter.ProviderType":               constant(map[string]any{"result": "manual"}),

	"Uniter.Life":                   entityLife,
	"Uniter.Watch":                  watchEntity,
	"Uniter.Refresh":                refreshUnit,
	"Uniter.AssignedMachine":        assignedMachine,
	"Uniter.AvailabilityZone":       availabilityZone,
	"Uniter.GetPrincipal":           getPrincipal,
	"Uniter.HasSubordinates":        hasSubordinates,
	"Uniter.Destroy":                destroyUnit,
	"Uniter.DestroyAllSubordinates": destroySubordinates,
	"Uniter.EnsureDead":             ensureDead,
	"Uniter.ClearResolved":          clearResolved,
	"Uniter.GetMeterStatus":         meterStatus,
	"Uniter.CanApplyLXDProfile":     noLXDProfile,
	"Uniter.PrivateAddress":         privateAddress,
	"Uniter.PublicAddress":          privateAddress,

	"Uniter.UnitStatus":           unitStatus,
	"Uniter.SetUnitStatus":        setUnitStatus,
	"Uniter.SetAgentStatus":       setAgentStatus,
	"Uniter.ApplicationStatus":    applicationStatus,
	"Uniter.SetApplicationStatus": setApplicationStatus,
	"Uniter.WorkloadVersion":      workloadVersion,
	"Uniter.SetWorkloadVersion":   setWorkloadVersion,
	"Uniter.State":                readState,
	"Uniter.SetState":             writeState,

	"Uniter.CharmURL":                     charmURL,
	"Uniter.SetCharmURL":                  setCharmURL,
	"Uniter.CharmModifiedVersion":         charmModifiedVersion,
	"Uniter.CharmArchiveSha256":           charmSHA256,
	"Uniter.LXDProfileRequired":           noLXDProfileOfCharm,
	"Uniter.ConfigSettings":               configSettings,
	"Uniter.WatchConfigSettingsHash":      watchConfig,
	"Uniter.WatchTrustConfigSettingsHash": watchTrust,
	"Uniter.WatchUnitAddressesHash":       watchAddresses,

	"Uniter.Relation":                     relationByTag,
	"Uniter.RelationById":                 relationByID,
	"Uniter.RelationsStatus":              relationsStatus,
	"Uniter.SetRelationStatus":            acceptArgs,
	"Uniter.WatchUnitRelations":           watchRelations,
	"Uniter.WatchRelationUnits":           watchRelationUnits,
	"Uniter.EnterScope":                   enterScope,
	"Uniter.LeaveScope":                   leaveScope,
	"Uniter.ReadSettings":                 readOwn,
	"Uniter.ReadLocalApplicationSettings": readOwnApplication,
	"Uniter.ReadRemoteSettings":           readRemote,
	"Uniter.CommitHookChanges":            commitHook,
	"Uniter.GoalStates":                   goalStates,

	"Uniter.NetworkInfo":                       networkInfo,
	"Uniter.OpenedMachinePortRangesByEndpoint": openedMachinePorts,

	"Uniter.WatchActionNotifications": watchActions,
	"Uniter.Actions":                  getActions,
	"Uniter.ActionStatus":             actionStatus,
	"Uniter.BeginActions":             beginActions,
	"Uniter.FinishActions":            finishActions,
	"Uniter.LogActionsMessages":       logActions,

	"Uniter.Merge":                   mergeLeaderData,
	"Uniter.Read":                    readLeaderData,
	"Uniter.WatchLeadershipSettings": watchLeaderData,

	"Uniter.WatchUpgradeSeriesNotifications": watchUpgrade,
	"Uniter.UpgradeSeriesUnitStatus":         upgradeStatus,
	"Uniter.SetUpgradeSeriesUnitStatus":      setUpgradeStatus,
	"Uniter.WatchUnitStorageAttachments":     watchNothing,
	"Uniter.UnitStorageAttachments":          noStorage,
	"Uniter.StorageAttachmentLife":           noResults,
	"Uniter.DestroyUnitStorageAttachments":   acceptEntities,
}
