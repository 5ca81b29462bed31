// Calls particle-api-js for a test: node api_js_jobs.js FOLDER JOB CONTEXT. Prints one JSON object of results.
'use strict';

const [, , folder, job, text] = process.argv;
const context = JSON.parse(text);
const Particle = require(folder);
const results = {};

function connect(options) {
	const api = new Particle({ baseUrl: context.baseUrl, ...options });
	if (options === undefined) {
		api.setDefaultAuth(context.token);
	}
	return api;
}

// What a call ends with, good or bad, under a name of ours.
async function note(name, promise) {
	try {
		const answer = await promise;
		results[name] = Buffer.isBuffer(answer) ?
			{ bytes: answer.toString('hex') } :
			{ status: answer.statusCode, body: answer.body };
	} catch (error) {
		results[name] = { failed: true, status: error.statusCode, text: error.errorDescription || String(error) };
	}
	return results[name];
}

async function everything() {
	const api = connect();
	const { product, device, foreign, boron, iccid, serial, firmware, version } = context;
	const file = Buffer.from(firmware, 'hex');
	await note('login', connect({}).login({ username: 'me@example.com', password: 'password' }));
	await note('badLogin', connect({}).login({ username: 'me@example.com', password: 'wrong' }));
	const mfa = await connect({}).login({ username: 'mfa@example.com', password: 'password' }).catch(error => error);
	results.mfa = { status: mfa.statusCode, body: mfa.body };
	await note('sendOtp', api.sendOtp({ mfaToken: mfa.body.mfa_token, otp: '123456' }));
	await note('getUserInfo', api.getUserInfo({}));
	await note('trackingIdentity', api.trackingIdentity({ full: true }));
	await note('trackingIdentityShort', api.trackingIdentity({}));
	await note('listProducts', api.listProducts({}));
	await note('getProduct', api.getProduct({ product }));
	await note('unknownProduct', api.listDevices({ product: 'nothing' }));
	await note('addDeviceToProduct', api.addDeviceToProduct({ product, deviceId: device }));
	await note('addFileToProduct', api.addDeviceToProduct({ product, file: Buffer.from(`${device}\n${boron}\n`) }));
	await note('listProductDevices', api.listDevices({
		product, deviceId: device.slice(4), sortAttr: 'deviceId', sortDir: 'asc', page: 1, perPage: 10
	}));
	await note('getProductDevice', api.getDevice({ product, deviceId: device }));
	await note('unknownDevice', api.getDevice({ product, deviceId: boron }));
	await note('claimDevice', api.claimDevice({ deviceId: foreign }));
	await note('listDevices', api.listDevices({}));
	await note('renameDevice', api.renameDevice({ deviceId: foreign, name: 'Roof' }));
	await note('getByName', api.getDevice({ deviceId: 'Roof' }));
	await note('setDeviceNotes', api.setDeviceNotes({ product, deviceId: device, notes: 'on the roof' }));
	await note('markAsDevelopment', api.markAsDevelopmentDevice({ product, deviceId: device }));
	await note('unmark', api.markAsDevelopmentDevice({ product, deviceId: device, development: false }));
	await note('signalDevice', api.signalDevice({ product, deviceId: device, signal: true }));
	await note('callFunction', api.callFunction({ product, deviceId: device, name: 'led', argument: 'abc' }));
	await note('noFunction', api.callFunction({ product, deviceId: device, name: 'none', argument: '' }));
	await note('getVariable', api.getVariable({ product, deviceId: device, name: 'volts' }));
	await note('publishEvent', api.publishEvent({ name: 'hello', data: 'world', isPrivate: true, product }));
	await note('publishOwn', api.publishEvent({ name: 'hello', data: '{"a":1}' }));
	await note('getClaimCode', api.getClaimCode({ product }));
	await note('ownClaimCode', api.getClaimCode({ iccid }));
	await note('lookupSerialNumber', api.lookupSerialNumber({ serialNumber: serial }));
	await note('sendPublicKey', api.sendPublicKey({
		deviceId: foreign, key: Buffer.from('-----BEGIN PUBLIC KEY-----'), algorithm: 'ecc'
	}));
	await note('flashDevice', api.flashDevice({ product, deviceId: device, files: { file }, targetVersion: '4.2.0' }));
	await note('uploadProductFirmware', api.uploadProductFirmware({
		product, file, version, title: 'Seven', description: 'first'
	}));
	await note('uploadAgain', api.uploadProductFirmware({ product, file, version, title: 'Seven' }));
	await note('listProductFirmware', api.listProductFirmware({ product }));
	await note('getProductFirmware', api.getProductFirmware({ product, version }));
	await note('updateProductFirmware', api.updateProductFirmware({ product, version, title: 'VII', description: '' }));
	await note('downloadProductFirmware', api.downloadProductFirmware({ product, version }));
	await note('releaseProductFirmware', api.releaseProductFirmware({
		product, version, product_default: true, groups: ['beta'], intelligent: true
	}));
	await note('lockDevice', api.lockDeviceProductFirmware({
		product, deviceId: device, desiredFirmwareVersion: version, flash: true
	}));
	await note('unlockDevice', api.unlockDeviceProductFirmware({ product, deviceId: device }));
	await note('listSIMs', api.listSIMs({ product: context.borons, page: 1, perPage: 5 }));
	await note('getSIMDataUsage', api.getSIMDataUsage({ product: context.borons, iccid }));
	await note('getFleetDataUsage', api.getFleetDataUsage({ product: context.borons }));
	await note('checkSIM', api.checkSIM({ iccid: context.freeIccid }));
	await note('checkNoSIM', api.checkSIM({ iccid: '8914' }));
	await note('removeSIM', api.removeSIM({ product: context.borons, iccid }));
	await note('listTeamMembers', api.listTeamMembers({ product }));
	await note('inviteTeamMember', api.inviteTeamMember({ product, username: 'mfa@example.com' }));
	await note('removeTeamMember', api.removeTeamMember({ product, username: 'mfa@example.com' }));
	const client = await note('createOAuthClient', api.createOAuthClient({ product, name: 'app', type: 'installed' }));
	const { id, secret } = client.body.client;
	await note('listOAuthClients', api.listOAuthClients({ product }));
	await note('updateOAuthClient', api.updateOAuthClient({ product, clientId: id, name: 'other' }));
	const owner = connect({ clientId: id, clientSecret: secret });
	await note('loginAsClientOwner', owner.loginAsClientOwner({}));
	await note('createCustomer', owner.createCustomer({ product, email: 'you@example.com', password: 'x' }));
	await note('deleteOAuthClient', api.deleteOAuthClient({ product, clientId: id }));
	const hook = await note('createWebhook', api.createWebhook({ product, event: 'e', url: 'http://127.0.0.1:9/' }));
	await note('listWebhooks', api.listWebhooks({ product }));
	await note('deleteWebhook', api.deleteWebhook({ product, hookId: hook.body.id }));
	const settings = { integration_type: 'Webhook', url: 'http://127.0.0.1:9/' };
	const made = await note('createIntegration', api.createIntegration({ product, event: 'e', settings }));
	const integrationId = made.body.id;
	await note('editIntegration', api.editIntegration({ product, integrationId, event: 'f', settings }));
	await note('listIntegrations', api.listIntegrations({ product }));
	await note('deleteIntegration', api.deleteIntegration({ product, integrationId }));
	await note('setProductConfiguration', api.setProductConfiguration({ product, config: { a: { b: 1 } } }));
	await note('getProductConfiguration', api.getProductConfiguration({ product }));
	await note('setProductDeviceConfiguration', api.setProductDeviceConfiguration({
		product, deviceId: device, config: { a: { b: 2 } }
	}));
	await note('getProductDeviceConfiguration', api.getProductDeviceConfiguration({ product, deviceId: device }));
	await note('configurationOfAll', api.getProductConfiguration({ product }));
	await note('updateDevice', api.updateDevice({ product, deviceId: device, notes: 'in the cellar' }));
	await note('compileCode', api.compileCode({ files: { 'app.ino': Buffer.from('//') }, platformId: 12 }));
	await note('listBuildTargets', api.listBuildTargets({}));
	await note('listDeviceOsVersions', api.listDeviceOsVersions({ platformId: 12, page: 1, perPage: 3 }));
	const release = await note('getDeviceOsVersion', api.getDeviceOsVersion({ version: '4.2.0', platformId: 12 }));
	const { base_url: base, modules } = release.body;
	await note('downloadFile', api.downloadFile({ uri: `${base}/${modules[0].filename}` }));
	await note('provisionDevice', api.provisionDevice({ productId: product }));
	await note('downloadManufacturingBackup', api.downloadManufacturingBackup({ deviceId: foreign }));
	await note('removeDeviceOwner', api.removeDeviceOwner({ product, deviceId: device }));
	await note('removeDevice', api.removeDevice({ product, deviceId: device, deny: true }));
	await note('unclaim', api.removeDevice({ deviceId: foreign }));
	await note('deleteAccessToken', connect({}).deleteAccessToken({ token: results.login.body.access_token }));
	await note('deleteCurrentAccessToken', api.deleteCurrentAccessToken({}));
	await note('afterLogout', api.getUserInfo({}));
	await note('activeLogin', connect({}).login({ username: 'me@example.com', password: 'password' }));
	await note('deleteActiveAccessTokens', connect({ auth: results.activeLogin.body.access_token })
		.deleteActiveAccessTokens({ auth: results.activeLogin.body.access_token }));
}

// Events of a product's stream for some seconds: what came, and how often the stream had to be opened again.
async function listen() {
	const api = connect();
	const stream = await api.getEventStream({ product: context.product, name: context.prefix });
	const events = [];
	const reconnects = { count: 0 };
	stream.on('event', event => events.push(event));
	stream.on('disconnect', () => reconnects.count++);
	// What comes before the handlers are there is lost to whoever calls this library.
	require('fs').writeFileSync(context.listening, '');
	await new Promise(resolve => setTimeout(resolve, context.seconds * 1000));
	stream.abort();
	results.events = events;
	results.reconnects = reconnects.count;
}

const jobs = { everything, listen };
jobs[job]().then(() => {
	process.stdout.write(JSON.stringify(results), () => process.exit(0));
}, error => {
	console.error(error);
	process.exit(1);
});
